"""What a job will take, in numbers and in words."""

from __future__ import annotations

import pytest

from dynface_video.jobs.estimate import format_bytes, format_time_range, work_done


@pytest.mark.parametrize(
    ("count", "text"), [(0, "1 MB"), (400_000, "1 MB"), (1_000_001, "2 MB"), (999_000_000, "999 MB"), (3e9, "3.0 GB")]
)
def test_bytes_are_never_said_to_be_none(count: float, text: str) -> None:
    assert format_bytes(int(count)) == text


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (0.0, 31.0, "less than 1 min"),
        (12.0, 125.0, "less than 1 min to 2 min"),
        (61.0, 80.0, "1 min"),
        (600.0, 5400.0, "10 min to 1.5 h"),
    ],
)
def test_a_range_of_times_with_equal_ends_is_said_once(least: float, most: float, text: str) -> None:
    assert format_time_range(least, most) == text


def test_a_video_that_is_being_joined_counts_as_done() -> None:
    assert work_done("analyze", 0, 100) == 0 and work_done("assemble", 0, 100) == 100
    assert work_done("analyze", 100, 100) == pytest.approx(work_done("restore", 0, 100))
    assert work_done("restore", 100, 100) == pytest.approx(100)
