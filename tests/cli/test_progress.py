from __future__ import annotations

import io
from itertools import pairwise

import pytest
from rich.console import Console

from dynface_video.cli.progress import (
    BarProgress,
    PlainProgress,
    StageClock,
    duration,
    make_bars,
    progress_display,
    speed,
)


class Times:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_at_the_start_every_few_seconds_and_at_the_end() -> None:
    out, times = io.StringIO(), Times()
    report = PlainProgress(out, interval=5, clock=times)
    for second in range(22):
        times.now = 100 + second
        report("analyze", 10 * second, 400)
    report("restore", 0, 400)
    report.finish()
    assert out.getvalue().splitlines() == [
        "analyze: 0 of 400 frames",
        "analyze: 50 of 400 frames, 10.0 frames/s",
        "analyze: 100 of 400 frames, 10.0 frames/s",
        "analyze: 150 of 400 frames, 10.0 frames/s",
        "analyze: 200 of 400 frames, 10.0 frames/s, 20 s left",
        "analyze: done, 210 frames in 21 s (10.0 frames/s)",
        "restore: 0 of 400 frames",
        "restore: done, 0 frames in 0 s",
    ]


def test_stages_that_an_earlier_run_finished_have_a_line_and_no_speed() -> None:
    out, times = io.StringIO(), Times()
    report = PlainProgress(out, interval=5, clock=times)
    report("analyze", 75, 75)
    times.now += 0.001
    report("restore", 75, 75)
    report.finish()
    assert out.getvalue().splitlines() == ["analyze: done, 75 frames", "restore: done, 75 frames"]


def test_a_night_is_not_thousands_of_lines() -> None:
    out, times = io.StringIO(), Times()
    report = PlainProgress(out, interval=5, clock=times)
    for second in range(0, 36_000, 2):
        times.now = 100 + second
        report("restore", second, 36_000)
    assert 600 < len(out.getvalue().splitlines()) < 900


def test_frames_of_an_interrupted_run_and_the_time_before_the_first_say_nothing_about_speed() -> None:
    clock = StageClock("restore", began=0, first=100)
    clock.update(100, 200, now=0)
    assert clock.rate is None and clock.left(0) is None
    clock.update(101, 200, now=40)
    assert clock.left(40) is None
    clock.update(141, 200, now=60)
    assert clock.left(60) == 29.5 and clock.left(65) == 24.5 and clock.left(1000) == 0


def test_what_is_said_of_the_time_left_comes_late_and_does_not_jump() -> None:
    """Sixteen frames at once, after a time that varies by half, as crowds come and go; 1,000 s in all."""
    clock, said, now = StageClock("restore", began=0, first=0), list[tuple[float, float]](), 8.0
    waits = [2.0 * (1 + 0.5 * (-1) ** (k // 7)) for k in range(500)]
    for k, wait in enumerate(waits):
        now += wait
        clock.update(16 * (k + 1), 16 * len(waits), now)
        left = clock.left(now)
        if left is not None:
            said.append((now, left))
    assert said[0][0] > 20
    ends = [at + left for at, left in said]
    assert max(max(a, b) / min(a, b) for a, b in pairwise(ends)) < 1.1
    assert all(abs(end - now) < 0.1 * now for at, end in zip((at for at, _ in said), ends, strict=True) if at > 120)
    assert abs(ends[-1] - now) < 1


def test_a_lasting_change_of_speed_is_followed() -> None:
    clock = StageClock("restore", began=0, first=0)
    for second in range(1, 101):
        clock.update(10 * second, 2000, now=second)
    before = clock.left(100)
    for second in range(101, 401):
        clock.update(1000 + (second - 100), 2000, now=second)
    after, by_the_mean = clock.left(400), 700 / (1290 / 399)
    assert before is not None and abs(before - 100) < 1
    assert after is not None and 0.8 * by_the_mean < after <= by_the_mean


@pytest.mark.parametrize("declared", [None, 5])
def test_an_unknown_or_wrong_total_gives_no_time_left(declared: int | None) -> None:
    clock = StageClock("analyze", began=0, first=0)
    for second in range(30):
        clock.update(10 * second, declared, now=second)
    assert clock.rate == 10 and clock.left(30) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_are_said_as_a_person_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("rate", "words"), [(25.04, "25.0 frames/s"), (0.1, "0.1 frames/s"), (0.04, "25 s/frame")])
def test_slow_work_is_told_in_seconds_per_frame(rate: float, words: str) -> None:
    assert speed(rate) == words


def test_a_slow_job_never_shows_a_rate_of_zero() -> None:
    out, times = io.StringIO(), Times()
    report = PlainProgress(out, interval=5, clock=times)
    for second in range(0, 100, 25):
        times.now = 100 + second
        report("restore", second // 25, 400)
    report.finish()
    assert "25 s/frame" in out.getvalue() and "0.0 frames/s" not in out.getvalue()


def test_the_bars_do_not_take_an_interrupted_runs_frames_for_speed() -> None:
    times = Times()
    bars = make_bars(Console(file=io.StringIO(), force_terminal=True))
    bars.get_time = times
    report = BarProgress(bars)
    for second in (0, 40, 60):
        times.now = 100.0 + second
        report("restore", 1000 + second, 2000)
    assert bars.tasks[0].speed == pytest.approx(1.0)


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
