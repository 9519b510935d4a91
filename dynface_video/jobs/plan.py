"""What a job is: its input, settings and models, told apart by digests, and the segments it is cut into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError

SAMPLE_BYTES = 1 << 20
SAMPLES = 16
SNAP_SHARE = 0.4


@dataclass(frozen=True)
class Segment:
    """Frames start .. stop - 1, restored and encoded together; copied: they hold no face, their packets are copied."""

    number: int
    start: int
    stop: int
    copied: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything the output depends on.

    source: path as given; input_digest: of the file's content; settings: what the picture depends on, as JSON data (not
    how many workers make it); model_digest: of the weights; version: of this library
    """

    source: str
    input_digest: str
    settings: dict[str, Any]
    model_digest: str
    version: str

    def digest(self) -> str:
        """SHA-256 of the plan without the path: a moved file is the same input."""
        content = asdict(self) | {"source": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def differences(self, other: Plan) -> list[str]:
        """What distinguishes the other plan from this one, in words, `ours` first."""
        found = []
        if self.input_digest != other.input_digest:
            found.append("the input's content")
        if self.model_digest != other.model_digest:
            found.append("the models' weights")
        if self.version != other.version:
            found.append(f"the version ({self.version} now, {other.version} before)")
        return found + _setting_differences(self.settings, other.settings)


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

    Archives hold files of hundreds of gigabytes: reading all of one before work begins would cost more than it guards.
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


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files under a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def cut_segments(frame_count: int, length: int, good_cuts: Iterable[int] = ()) -> list[Segment]:
    """Cut a video into segments of about `length` frames.

    good_cuts: frames before which cutting is best (shot boundaries, keyframes of the source: a segment that begins
    there decodes nothing in vain); one within 40 % of `length` around the even cut is taken.
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
    """Cut a video into segments so that each of the `copied` runs of frames, in order, is one of its own."""
    good, segments, done = set(good_cuts), list[Segment](), 0
    for start, stop in [*copied, (frame_count, frame_count)]:
        for part in cut_segments(start - done, length, [cut - done for cut in good if done < cut < start]):
            segments.append(Segment(len(segments), part.start + done, part.stop + done))
        if stop > start:
            segments.append(Segment(len(segments), start, stop, copied=True))
        done = stop
    return segments
