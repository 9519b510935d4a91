"""Frame index of a video: times, seek points and checksums of all frames."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class Entry:
    """Position of a keyframe in a file.

    Attributes:
        pts: Its time, ticks.
        time: Time to seek to, ticks.
        position: Byte to seek to instead.
    """

    pts: int
    time: int
    position: int | None = None


@dataclass(frozen=True)
class SeekPoint:
    """A frame at which decoding may begin.

    Attributes:
        frame: Its number.
        entry: Its position in the file.
    """

    frame: int
    entry: Entry


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """Result of one full decode of a video.

    Attributes:
        pts: (N,) int64 ticks, strictly increasing.
        time_base: Seconds per tick.
        seek_points: In order, without the beginning.
        checksums: (N,) uint32, of the pictures.
        repeated: Numbers of lost frames, for which the previous one is shown.
        fitted: Runs of frames, start and stop, whose shape differs from the first (`PictureFitter`).
        closed: Runs of frames, start and stop, whose packets can be copied; only if requested.
        missing: What of the pictures the file lacks (`MissingPictures.describe`); empty if nothing is missing.
    """

    pts: np.ndarray
    time_base: Fraction
    seek_points: tuple[SeekPoint, ...]
    checksums: np.ndarray
    repeated: frozenset[int] = frozenset()
    fitted: tuple[tuple[int, int], ...] = ()
    closed: tuple[tuple[int, int], ...] = ()
    missing: str = ""

    def keyframes(self) -> list[int]:
        """Numbers of the frames at which decoding may begin."""
        return [0] * bool(len(self.pts)) + [point.frame for point in self.seek_points]

    def to_json(self) -> dict[str, Any]:
        """Serialize to JSON types; times become runs [first, step, count]."""
        return {
            "time_base": str(self.time_base),
            "pts": _runs(self.pts),
            "seek_points": [[point.frame, *astuple(point.entry)] for point in self.seek_points],
            "repeated": sorted(self.repeated),
            "fitted": [list(span) for span in self.fitted],
            "closed": [list(span) for span in self.closed],
            "missing": self.missing,
            "checksums": base64.b64encode(self.checksums.astype("<u4").tobytes()).decode(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> FrameIndex:
        """Reverse of `to_json`.

        Raises:
            KeyError: A field is missing.
            ValueError: Fields contradict each other.
        """
        pts = _from_runs(raw["pts"])
        checksums = np.frombuffer(base64.b64decode(raw["checksums"]), "<u4").astype(np.uint32)
        if len(checksums) != len(pts):
            raise ValueError(f"the frame index has {len(pts)} times and {len(checksums)} checksums")
        points = tuple(SeekPoint(frame, Entry(*entry)) for frame, *entry in raw["seek_points"])
        fitted, closed = (
            tuple((int(start), int(stop)) for start, stop in raw.get(name, [])) for name in ("fitted", "closed")
        )
        repeated, missing = frozenset(raw["repeated"]), str(raw.get("missing", ""))
        return cls(pts, Fraction(raw["time_base"]), points, checksums, repeated, fitted, closed, missing)


@dataclass
class IndexBuilder:
    """Builds the index while `read_frames` runs.

    Attributes:
        missing: As of `FrameIndex`, known at the end.
    """

    time_base: Fraction
    missing: str = field(default="", init=False)
    _pts: list[int] = field(default_factory=list)
    _checksums: list[int] = field(default_factory=list)
    _seek_points: list[SeekPoint] = field(default_factory=list)
    _repeated: set[int] = field(default_factory=set)
    _fitted: list[tuple[int, int]] = field(default_factory=list)

    def add(
        self,
        picture: av.VideoFrame,
        pts: int,
        *,
        entry: Entry | None,
        repeated: bool,
        fitted: bool = False,
    ) -> None:
        """Add the next frame.

        Args:
            picture: Its picture.
            pts: Its time, ticks.
            entry: Its position in the file, for a keyframe.
            repeated: Whether it stands for a lost frame.
            fitted: Whether its shape differed from the first.
        """
        number = len(self._pts)
        self._pts.append(pts)
        self._checksums.append(0 if repeated else checksum(picture))
        if fitted:
            follows = bool(self._fitted) and self._fitted[-1][1] == number
            start = self._fitted.pop()[0] if follows else number
            self._fitted.append((start, number + 1))
        if repeated:
            self._repeated.add(number)
        elif number and entry is not None:
            self._seek_points.append(SeekPoint(number, entry))

    def finish(self) -> FrameIndex:
        """Build the index of the frames added."""
        return FrameIndex(
            np.array(self._pts, np.int64),
            self.time_base,
            tuple(self._seek_points),
            np.array(self._checksums, np.uint32),
            frozenset(self._repeated),
            tuple(self._fitted),
            missing=self.missing,
        )


def checksum(picture: av.VideoFrame) -> int:
    """CRC-32 of a picture's samples, without the padding of lines."""
    value = 0
    for number, plane in enumerate(picture.planes):
        if plane.line_size == 0:
            # A palette: colours, not lines.
            value = zlib.crc32(memoryview(plane), value)
            continue
        samples = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))[: plane.height]
        used = min(_line_bytes(picture, number), samples.shape[1])
        value = zlib.crc32(np.ascontiguousarray(samples[:, :used]).data, value)
    return value


def _line_bytes(picture: av.VideoFrame, number: int) -> int:
    layout, width = picture.format, picture.planes[number].width
    bits = [c.bits for c in layout.components if c.plane == number]
    if len(picture.planes) == 1 or not bits:
        return (width * layout.padded_bits_per_pixel + 7) // 8
    return width * sum((b + 7) // 8 for b in bits)


def _runs(pts: np.ndarray) -> list[list[int]]:
    runs: list[list[int]] = []
    for value in pts.tolist():
        if not runs:
            runs.append([value, 0, 1])
            continue
        first, step, count = runs[-1]
        if count == 1 or value == first + step * count:
            runs[-1] = [first, value - first if count == 1 else step, count + 1]
        else:
            runs.append([value, 0, 1])
    return runs


def _from_runs(runs: Sequence[Sequence[int]]) -> np.ndarray:
    parts = [first + step * np.arange(count, dtype=np.int64) for first, step, count in runs]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
