from __future__ import annotations

import numpy as np
import pytest

from dynface_video.report.plots import Scale, bars, line, nice_top, part_of, thinned, ticks


def test_a_line_has_few_points_whatever_its_length() -> None:
    frames = np.arange(100_000)
    path = line([(frames, np.sin(frames / 1000) + 1)], Scale(100_000, 2.0))
    assert 400 < path.count("L") < 500 and path.count("M") == 1
    kept, values = thinned(frames, np.ones(100_000), 100)
    assert len(kept) == 100 and values.tolist() == [1.0] * 100


def test_a_line_breaks_between_its_pieces_and_shows_single_points() -> None:
    path = line([(np.arange(3), np.ones(3)), (np.array([8]), np.array([2.0]))], Scale(10, 2.0))
    assert path == "M0.0 50.0L100.0 50.0L200.0 50.0M795.0 0.0L805.0 0.0"


def test_bars_that_touch_are_one_and_short_ones_are_seen() -> None:
    assert bars([(0, 10), (10, 20)], Scale(100, 1)) == "M0.0 0V100H200.0V0z"
    assert bars([(5, 6)], Scale(1_000_000, 1)) == "M0.0 0V100H0.8V0z"


def test_marks_of_the_whole_are_shown_where_a_part_has_them() -> None:
    whole, part = Scale(1000, 1), Scale(600, 1, first=500)
    assert part_of(whole, part) == "scale(10.00000 1) translate(-500.0000 0)"
    assert (whole.x(550) - 500) * 10 == part.x(550)


def test_marks_that_coincide_are_drawn_once() -> None:
    assert ticks([10, 20, 20], Scale(100, 1)) == "M100 0V100M200 0V100"


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.7, 1), (1, 1), (1.01, 2), (2.2, 2.5), (3, 5), (340, 500)])
def test_the_top_of_a_plot_is_a_round_number(value: float, top: float) -> None:
    assert nice_top(value) == pytest.approx(top)
