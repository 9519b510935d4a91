"""Times and spans of time as users write them: `90`, `1:30`, `0:01:30.5`, `00:10-00:25`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)s?")
FORM = "a time is written as seconds (90.5) or as minutes and hours (1:30, 0:01:30.5)"


@dataclass(frozen=True)
class TimeSpan:
    """Times from `start` up to, but not including, `stop`, in seconds from the video's first frame; None: no limit."""

    start: Fraction | None
    stop: Fraction | None

    def holds(self, time: Fraction) -> bool:
        """Whether a time lies inside."""
        return (self.start is None or time >= self.start) and (self.stop is None or time < self.stop)

    def __str__(self) -> str:
        ends = ("" if time is None else format_time(time, 6) for time in (self.start, self.stop))
        return "-".join(ends)


def parse_time(text: str) -> Fraction:
    """Seconds of a time; raises ValueError for anything else."""
    found = TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is not a time; {FORM}")
    hours, minutes, seconds = found.groups()
    if minutes is not None and Fraction(seconds) >= 60:
        raise ValueError(f"{text.strip()!r} has more than 59 seconds; {FORM}")
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(seconds)


def parse_span(text: str) -> TimeSpan:
    """A span, START-STOP, either of which may be left out; raises ValueError for anything else."""
    parts = text.strip().split("-")
    if len(parts) != 2 or not any(part.strip() for part in parts):
        raise ValueError(f"{text.strip()!r} is not a span of time; write START-STOP, such as 00:10-00:25")
    start, stop = (parse_time(part) if part.strip() else None for part in parts)
    if start is not None and stop is not None and stop <= start:
        raise ValueError(f"{text.strip()!r} ends before it begins")
    return TimeSpan(start, stop)


def format_time(seconds: Fraction | float, digits: int = 2) -> str:
    """Minutes and seconds, with hours where there are any: `00:12.5`, `1:02:03`; digits: most behind the point."""
    unit = 10**digits
    minutes, rest = divmod(round(Fraction(seconds) * unit), 60 * unit)
    text = f"{rest // unit:02d}" + (f".{rest % unit:0{digits}d}".rstrip("0") if rest % unit else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes:02d}:{text}"
