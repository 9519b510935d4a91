from __future__ import annotations

import io

import pytest
from rich.console import Console

from dynface_video.progress import PlainProgress, StageClock, duration, progress_display


class Times:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_at_the_start_every_few_seconds_and_at_the_end() -> None:
    out, times = io.StringIO(), Times()
    report = PlainProgress(out, interval=5, clock=times)
    for second in range(12):
        times.now = 100 + second
        report("analyze", 10 * second, 200)
    report("restore", 0, 200)
    report.finish()
    assert out.getvalue().splitlines() == [
        "analyze: 0 of 200 frames",
        "analyze: 50 of 200 frames, 10.0 frames/s, 15 s left",
        "analyze: 100 of 200 frames, 10.0 frames/s, 10 s left",
        "analyze: done, 110 frames in 11 s (10.0 frames/s)",
        "restore: 0 of 200 frames",
        "restore: done, 0 frames in 0 s",
    ]


def test_frames_of_an_interrupted_run_say_nothing_about_speed() -> None:
    clock = StageClock("restore", began=0, first=100)
    clock.update(100, 200, now=0)
    assert clock.rate is None and clock.left(0) is None
    clock.update(120, 200, now=10)
    assert clock.rate == 2
    assert clock.left(10) == 40 and clock.left(15) == 35 and clock.left(1000) == 0


@pytest.mark.parametrize("declared", [None, 5])
def test_an_unknown_or_wrong_total_gives_no_time_left(declared: int | None) -> None:
    clock = StageClock("analyze", began=0, first=0)
    clock.update(10, declared, now=2)
    assert clock.rate == 5 and clock.left(2) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_are_said_as_a_person_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_terminal_gets_a_bar_a_stage_that_fills_even_when_frames_are_missing() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with progress_display(console) as report:
        report("analyze", 0, 100)
        report("analyze", 90, 100)
        report("restore", 0, None)
        report("restore", 90, 90)
    last = out.getvalue().split("\x1b[2K")[-1]
    analyze, restore = (next(line for line in last.splitlines() if stage in line) for stage in ("analyze", "restore"))
    assert "90 frames" in analyze and "frames/s" in analyze and "left" not in analyze
    assert "━" * 32 in analyze and "━" * 32 in restore


def test_a_stage_that_failed_is_not_called_done() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), progress_display(Console(file=out)) as report:
        report("analyze", 3, 10)
        raise RuntimeError
    assert "done" not in out.getvalue()
