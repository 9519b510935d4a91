"""Times, lengths and sizes as the page writes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynface_video.record.archive import Record


def clock(seconds: float) -> str:
    """A time as h:mm:ss, or m:ss.t below an hour."""
    if seconds >= 3600:
        whole = round(seconds)
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def duration(seconds: float) -> str:
    """A length of time in words of two units at most."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"


def data_size(count: int) -> str:
    """A number of bytes with a decimal unit."""
    value, unit = float(count), 0
    while value >= 1000 and unit < 4:
        value, unit = value / 1000, unit + 1
    return f"{value:.{0 if unit == 0 else 1}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[unit]}"


@dataclass(frozen=True, eq=False)
class Timeline:
    """Times of frames."""

    times: np.ndarray

    @classmethod
    def of(cls, record: Record) -> Timeline:
        """Of a record's video, from 0."""
        index = record.plan.frames
        if not len(index.pts):
            return cls(np.zeros(1))
        seconds = (index.pts - index.pts[0]) * float(index.time_base)
        step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
        return cls(np.append(seconds, seconds[-1] + step))

    def at(self, frame: int) -> float:
        """Seconds from the first frame; of the end for the number of frames."""
        return float(self.times[min(frame, len(self.times) - 1)])

    def clock(self, frame: int) -> str:
        """As text."""
        return clock(self.at(frame))

    def span(self, start: int, stop: int) -> str:
        """From the first frame to the end of the last, as text."""
        return f"{self.clock(start)} to {self.clock(stop)}"


@dataclass(frozen=True)
class Fact:
    """A name and a value; `note` explains it."""

    name: str
    value: str
    note: str = ""
