"""Progress on standard error: a bar for each stage on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dynface_video.cli.summary import count

Report = Callable[[str, int, int | None], None]
"""Called with (stage, frames done, frames in all or None), as the `progress` of `restore_video`."""

PLAIN_INTERVAL = 5.0
"""Seconds between lines at first."""
PLAIN_SHARE, LONGEST_INTERVAL = 0.02, 60.0
"""Lines become rarer: this share of the time since the stage began, up to so many seconds."""
SETTLED = 15.0
"""Seconds of progress before the time left is estimated."""
SMOOTHING = 30.0
"""Time constant of the estimate of the time left, seconds; towards the end, a quarter of what is left."""
SPEED_PERIOD = 600.0
"""Seconds over which the bars measure speed: a slow machine reports less than once in Rich's default of 30."""
SLOWEST_RATE = 0.1
"""Frames per second below which seconds per frame are shown, because the rate would round to 0."""


@dataclass
class StageClock:
    """Speed and time left of a stage, from its reports.

    Frames of an interrupted run say nothing about speed, nor does the time before the first frame, in which models are
    loaded: the time left is estimated from the first progress on.

    Attributes:
        stage: Name of the stage.
        began: When it began; all times are seconds of one monotonic clock.
        first: Frames that were done when it began.
        done: Frames done at the last report.
        total: Frames in all; None when unknown.
        last: Time of the last report.
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
        """Take a report. A total that proves too small, as files may declare one, counts as unknown."""
        passed, self.done, self.last = now - self.last, done, now
        self.total = total if total is not None and total >= done else None
        if self._start is None and done > self.first:
            self._start = now, done
        self._left = self._smoothed(self._measured(), passed)

    def _measured(self) -> float | None:
        """Seconds left by the speed since the first progress; None before it has settled."""
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
        """Frames per second up to the last report; None before the first progress."""
        spent, frames = self.last - self.began, self.done - self.first
        return frames / spent if spent > 0 and frames > 0 else None

    def left(self, now: float) -> float | None:
        """Estimated seconds left; None when unknown."""
        return None if self._left is None else max(0.0, self._left - (now - self.last))


def duration(seconds: float) -> str:
    """Seconds as text: "8 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def speed(rate: float) -> str:
    """Frames per second as text, as seconds per frame where they would round to 0."""
    return f"{rate:.1f} frames/s" if rate >= SLOWEST_RATE else f"{1 / rate:.0f} s/frame"


class PlainProgress:
    """A line when a stage begins, then every few seconds, later every minute, and when it ends."""

    def __init__(
        self, stream: IO[str], *, interval: float = PLAIN_INTERVAL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to `stream`, at first every `interval` seconds of `clock`."""
        self._stream, self._interval, self._clock = stream, interval, clock
        self._current: StageClock | None = None
        self._written = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take a report."""
        now = self._clock()
        if self._current is None or self._current.stage != stage:
            self.finish()
            self._current = StageClock(stage, now, done)
            # What is complete from the beginning gets its last line only.
            self._written = now if total == done > 0 else now - self._interval
        self._current.update(done, total, now)
        rarer = min(LONGEST_INTERVAL, PLAIN_SHARE * (now - self._current.began))
        if now - self._written >= max(self._interval, rarer):
            self._written = now
            self._write(describe(self._current, now))

    def finish(self) -> None:
        """Write that the stage is done."""
        if self._current is not None:
            current, self._current = self._current, None
            rate = f" ({speed(current.rate)})" if current.rate else ""
            spent = f" in {duration(current.last - current.began)}" if current.done == 0 or current.rate else ""
            self._write(f"{current.stage}: done, {count(current.done, 'frame')}{spent}{rate}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def describe(clock: StageClock, now: float) -> str:
    """Progress of a stage in one line."""
    done = count(clock.done, "frame") if clock.total is None else f"{clock.done} of {count(clock.total, 'frame')}"
    parts = [f"{clock.stage}: {done}"]
    if clock.rate is not None:
        parts.append(speed(clock.rate))
    left = clock.left(now)
    if left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


class BarProgress:
    """A bar for each stage, one below the other."""

    def __init__(self, bars: Progress) -> None:
        """Fill `bars`, made by `make_bars`, which are on display."""
        self._bars = bars
        self._task: TaskID | None = None
        self._current: StageClock | None = None

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take a report."""
        now = time.monotonic()
        if self._current is None or self._current.stage != stage:
            self.finish()
            self._current = StageClock(stage, now, done)
            # What an interrupted run did is not counted as speed.
            self._task = self._bars.add_task(stage, total=total, completed=done, speed="")
        assert self._task is not None
        self._current.update(done, total, now)
        rate = self._current.rate
        self._bars.update(
            self._task, completed=done, total=self._current.total, speed="" if rate is None else speed(rate)
        )

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
        TextColumn("{task.fields[speed]}", justify="right"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=4,
        speed_estimate_period=SPEED_PERIOD,
    )


@contextmanager
def progress_display(console: Console) -> Iterator[Report]:
    """Show progress on a console: bars on a terminal, lines elsewhere. A stage that failed is not reported as done."""
    if console.is_terminal:
        with make_bars(console) as bars:
            report: PlainProgress | BarProgress = BarProgress(bars)
            yield report
            report.finish()
    else:
        report = PlainProgress(console.file)
        yield report
        report.finish()
