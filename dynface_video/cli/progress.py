"""Progress on the terminal: a bar a stage for a person, plain lines every few seconds for a log file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

Report = Callable[[str, int, int | None], None]
"""Told (stage, frames done, frames in all or None), as `restore_video` does."""

PLAIN_INTERVAL = 5.0
PLAIN_SHARE, LONGEST_INTERVAL = 0.02, 60.0
"""Lines become rarer with time: at most so many seconds apart, and this share of what has passed."""
SETTLED = 15.0
"""Seconds of progress before a word is said about the time that is left."""
SMOOTHING = 30.0
"""Seconds over which that word follows what is measured; less towards the end, a quarter of what is left."""


@dataclass
class StageClock:
    """How fast a stage goes, from what it reported. Times are seconds of one steady clock.

    first: frames that were done when the stage began, by an interrupted run; they say nothing about speed. Neither does
    the time before the first frame, in which models are loaded: what is left is estimated from the first progress on.
    """

    stage: str
    began: float
    first: int
    done: int = 0
    total: int | None = None
    last: float = field(default=0.0, init=False)
    _start: tuple[float, int] | None = field(default=None, init=False)
    _left: float | None = field(default=None, init=False)

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take a report. A total that proves too small (a file may declare anything) counts as unknown."""
        passed, self.done, self.last = now - self.last, done, now
        self.total = total if total is not None and total >= done else None
        if self._start is None and done > self.first:
            self._start = now, done
        self._left = self._smoothed(self._measured(), passed)

    def _measured(self) -> float | None:
        """Seconds left by the speed since the first progress; None while there is too little to tell from."""
        if self._start is None or self.total is None:
            return None
        spent, frames = self.last - self._start[0], self.done - self._start[1]
        return (self.total - self.done) * spent / frames if spent >= SETTLED and frames > 0 else None

    def _smoothed(self, measured: float | None, passed: float) -> float | None:
        if measured is None or self._left is None:
            return measured
        expected = self._left - passed
        followed = 1 - math.exp(-passed / max(1.0, min(SMOOTHING, measured / 4)))
        return expected + (measured - expected) * followed

    @property
    def rate(self) -> float | None:
        """Frames a second up to the last report; None before there is anything to go by."""
        spent, frames = self.last - self.began, self.done - self.first
        return frames / spent if spent > 0 and frames > 0 else None

    def left(self, now: float) -> float | None:
        """Seconds that are probably left; None when unknown."""
        return None if self._left is None else max(0.0, self._left - (now - self.last))


def duration(seconds: float) -> str:
    """Seconds as a person says them: "8 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class PlainProgress:
    """A line when a stage begins, every few seconds, later every minute, and when it ends."""

    def __init__(
        self, stream: IO[str], *, interval: float = PLAIN_INTERVAL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """interval: seconds between lines in the beginning; clock: what time it is, in seconds."""
        self._stream, self._interval, self._clock = stream, interval, clock
        self._current: StageClock | None = None
        self._said = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take a report."""
        now = self._clock()
        if self._current is None or self._current.stage != stage:
            self.finish()
            self._current = StageClock(stage, now, done)
            self._said = now - self._interval
        self._current.update(done, total, now)
        rarer = min(LONGEST_INTERVAL, PLAIN_SHARE * (now - self._current.began))
        if now - self._said >= max(self._interval, rarer):
            self._said = now
            self._say(describe(self._current, now))

    def finish(self) -> None:
        """Say that the stage is done."""
        if self._current is not None:
            current, self._current = self._current, None
            speed = f" ({current.rate:.1f} frames/s)" if current.rate else ""
            spent = duration(current.last - current.began)
            frames = "1 frame" if current.done == 1 else f"{current.done} frames"
            self._say(f"{current.stage}: done, {frames} in {spent}{speed}")

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def describe(clock: StageClock, now: float) -> str:
    """Where a stage stands, in a line."""
    parts = [f"{clock.stage}: {clock.done}{f' of {clock.total}' if clock.total is not None else ''} frames"]
    if clock.rate is not None:
        parts.append(f"{clock.rate:.1f} frames/s")
    left = clock.left(now)
    if left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


class _SpeedColumn(ProgressColumn):
    """Frames a second and the time left, by the stage's own clock: Rich forgets slow reports after half a minute."""

    def render(self, task: Task) -> Text:
        clock: StageClock = task.fields["clock"]
        if clock.rate is None:
            return Text("")
        left = None if task.finished else clock.left(time.monotonic())
        return Text(f"{clock.rate:.1f} frames/s" + (f", {duration(left)} left" if left is not None else ""))


class BarProgress:
    """A bar a stage, one below the other."""

    def __init__(self, bars: Progress) -> None:
        """bars: of `make_bars`, on display."""
        self._bars = bars
        self._task: TaskID | None = None
        self._current: StageClock | None = None

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take a report."""
        now = time.monotonic()
        if self._current is None or self._current.stage != stage:
            self.finish()
            self._current = StageClock(stage, now, done)
            self._task = self._bars.add_task(stage, total=total, clock=self._current)
        assert self._task is not None
        self._current.update(done, total, now)
        self._bars.update(self._task, completed=done, total=self._current.total)

    def finish(self) -> None:
        """Fill the bar of a stage that ended with fewer frames than the file declared."""
        if self._current is not None and self._task is not None:
            self._bars.update(self._task, completed=self._current.done, total=max(self._current.done, 1))
            self._current = None


def make_bars(console: Console) -> Progress:
    """The columns that `BarProgress` fills."""
    return Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=32),
        TextColumn("{task.completed} frames", justify="right"),
        TimeElapsedColumn(),
        _SpeedColumn(),
        console=console,
        refresh_per_second=4,
    )


@contextmanager
def progress_display(console: Console) -> Iterator[Report]:
    """Show progress on a console: bars where it is a terminal, lines otherwise. What failed is not called done."""
    if console.is_terminal:
        with make_bars(console) as bars:
            report: PlainProgress | BarProgress = BarProgress(bars)
            yield report
            report.finish()
    else:
        report = PlainProgress(console.file)
        yield report
        report.finish()
