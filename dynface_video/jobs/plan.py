"""What a job is: its input, settings and models, identified by digests, and the segments it is cut into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError

SAMPLE_BYTES = 1 << 20
SAMPLES = 16
CHOICE = ("selection", "reference")
"""Settings that only decide which of the faces that the first pass finds are restored."""
SNAP_SHARE = 0.4
"""How far a segment's end may move to a good cut, as a share of the segment's length."""


@dataclass(frozen=True)
class Segment:
    """Frames that are restored and encoded together.

    Args:
        number: From 0, in order.
        start: First frame.
        stop: One past the last frame.
        copied: Whether it shows no face to restore, so that its packets are copied.
    """

    number: int
    start: int
    stop: int
    copied: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything that the output depends on.

    On the CPU, equal plans give equal bytes, with any number of workers and after any interruption. On CUDA, kernels
    may sum in another order from run to run: the pictures agree within the rounding of the device's arithmetic.

    Args:
        source: Path as given.
        input_digest: Of the file's content.
        settings: What the pictures depend on, as JSON data; not where or by how many workers they are made.
        model_digest: Of the weights.
        version: Of this library.
    """

    source: str
    input_digest: str
    settings: dict[str, Any]
    model_digest: str
    version: str

    def digest(self) -> str:
        """SHA-256 of the plan without the path: a file that was moved is the same input."""
        content = asdict(self) | {"source": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def differences(self, other: Plan) -> list[str]:
        """Describe how another plan differs from this one.

        Args:
            other: The plan of an earlier run.
        """
        found = []
        if self.input_digest != other.input_digest:
            found.append("the input's content")
        if self.model_digest != other.model_digest:
            found.append("the models' weights")
        if self.version != other.version:
            found.append(f"the version ({self.version} now, {other.version} before)")
        return found + _setting_differences(self.settings, other.settings)

    def has_first_pass_of(self, other: Plan) -> bool:
        """Whether the first pass of another plan finds the same: nothing differs but the choice of faces.

        Args:
            other: The plan of an earlier run.
        """
        ours, theirs = (
            replace(plan, settings={name: value for name, value in plan.settings.items() if name not in CHOICE})
            for plan in (self, other)
        )
        return not ours.differences(theirs)


def _setting_differences(now: dict[str, Any], before: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in sorted({*now, *before}):
        a, b = now.get(name), before.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _setting_differences(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append(f"{prefix}{name} ({a} now, {b} before)")
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of a file's size and of 16 MiB spread evenly over it.

    Archives hold files of hundreds of gigabytes: reading all of one before work begins would take too long.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        digest.update(str(size).encode())
        with open(path, "rb") as handle:
            for k in range(SAMPLES):
                handle.seek(max(0, (size - SAMPLE_BYTES) * k // (SAMPLES - 1)))
                digest.update(handle.read(SAMPLE_BYTES))
                if size <= SAMPLE_BYTES:
                    break
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def cut_segments(frame_count: int, length: int, good_cuts: Iterable[int] = ()) -> list[Segment]:
    """Cut a video into segments of about equal length.

    Args:
        frame_count: Length of the video.
        length: Frames of a segment, about.
        good_cuts: Frames at which a segment should begin: shot boundaries, and keyframes of the source, before which
            nothing needs to be decoded. One within `SNAP_SHARE` of `length` around an even cut is taken.
    """
    cuts, good = [0], sorted(set(good_cuts))
    while frame_count - cuts[-1] > length * (1 + SNAP_SHARE):
        wanted = cuts[-1] + length
        near = [c for c in good if abs(c - wanted) <= SNAP_SHARE * length]
        cuts.append(min(near, key=lambda c: abs(c - wanted), default=wanted))
    return [Segment(i, a, b) for i, (a, b) in enumerate(pairwise([*cuts, frame_count])) if b > a]


def cut_around(
    copied: Iterable[tuple[int, int]], frame_count: int, length: int, good_cuts: Iterable[int] = ()
) -> list[Segment]:
    """Cut a video into segments so that each run of copied frames is one segment.

    Args:
        copied: The runs (start, stop), in order.
        frame_count: Length of the video.
        length: Frames of a segment that is restored, about.
        good_cuts: As in `cut_segments`.
    """
    good, segments, done = set(good_cuts), list[Segment](), 0
    for start, stop in [*copied, (frame_count, frame_count)]:
        for part in cut_segments(start - done, length, [cut - done for cut in good if done < cut < start]):
            segments.append(Segment(len(segments), part.start + done, part.stop + done))
        if stop > start:
            segments.append(Segment(len(segments), start, stop, copied=True))
        done = stop
    return segments
