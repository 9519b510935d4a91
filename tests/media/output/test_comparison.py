"""Pictures beside each other: as wide as players decode, all of them there."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dynface_video.media.output.comparison import GAP, WIDEST, compared


def pictures(count: int, width: int, height: int) -> list[np.ndarray]:
    return [np.full((height, width, 3), 20 + 25 * number, np.uint8) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "width", "height", "expected"),
    [
        (2, 1920, 1080, (1080, 2 * 1920 + GAP)),
        (4, 1920, 1080, (2 * 1080 + GAP, 2 * 1920 + GAP)),
        (3, 640, 360, (360, 3 * 640 + 2 * GAP)),
    ],
)
def test_a_row_that_would_be_too_wide_becomes_rows(
    count: int, width: int, height: int, expected: tuple[int, int]
) -> None:
    shown = compared(pictures(count, width, height), [""] * count, "side", Fraction(0))
    assert shown.shape[:2] == expected


def test_nine_large_pictures_are_reduced_and_none_is_left_out() -> None:
    shown = compared(pictures(9, 1920, 1080), [""] * 9, "side", Fraction(0))
    assert shown.shape[1] <= WIDEST
    assert {20 + 25 * number for number in range(9)} <= set(np.unique(shown).tolist())


def test_an_incomplete_row_ends_in_black() -> None:
    shown = compared(pictures(3, 2000, 200), [""] * 3, "side", Fraction(0))
    assert shown.shape[:2] == (2 * 200 + GAP, 2 * 2000 + GAP)
    assert not shown[200 + GAP :, 2000 + GAP :].any()
