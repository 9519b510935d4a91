"""Repeated pictures are found through the traces of compression, and movement is not taken for one."""

from __future__ import annotations

import av
import numpy as np
import pytest

from dynface_video.media.timing.repeats import RepeatFinder, largest_difference

RNG = np.random.default_rng(0)
BASE = RNG.integers(40, 200, (48, 64), np.uint8)


def picture(luminance: np.ndarray, layout: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame(luminance.shape[1], luminance.shape[0], layout)
    for number, plane in enumerate(frame.planes):
        shown = luminance if number == 0 else np.full((plane.height, plane.width), 128, np.uint8)
        shown = shown.astype("<u2") * 4 if layout.endswith("10le") else shown
        lines = np.zeros((plane.height, plane.line_size), np.uint8)
        lines[:, : shown.shape[1] * shown.itemsize] = np.ascontiguousarray(shown).view(np.uint8)
        plane.update(lines)
    return frame


def noisy(level: int) -> np.ndarray:
    return (BASE + RNG.integers(-level, level + 1, BASE.shape)).astype(np.uint8)


def runs(pictures: list[np.ndarray], tolerance: float = 2.0, layout: str = "yuv420p") -> list[tuple[int, int]]:
    finder = RepeatFinder(tolerance)
    for one in pictures:
        finder.feed(picture(one, layout))
    return finder.runs


@pytest.mark.parametrize("layout", ["yuv420p", "yuv420p10le"])
def test_noise_of_compression_does_not_hide_a_repeat(layout: str) -> None:
    other = np.roll(BASE, 5, axis=1)
    shown = [BASE, noisy(2), noisy(2), other, BASE, other, other]
    assert runs(shown, layout=layout) == [(0, 3), (5, 7)]
    assert runs(shown, 0.0, layout) == [(5, 7)]


def test_what_moves_in_one_square_only_is_seen() -> None:
    mouth = BASE.copy()
    mouth[16:32, 32:48] = np.roll(mouth[16:32, 32:48], 1, axis=0)
    assert runs([BASE, mouth, mouth]) == [(1, 3)]


@pytest.mark.parametrize("layout", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("row", range(0, 304, 16))
def test_no_part_of_a_high_picture_is_left_out(row: int, layout: str) -> None:
    high = RNG.integers(40, 200, (310, 64), np.uint8)
    changed = high.copy()
    changed[row : row + 16, 48:64] += 6
    shown, other = picture(high, layout), picture(changed, layout)
    whole = largest_difference(shown, other)
    assert 2 < whole <= 6
    assert largest_difference(shown, other, 2.0) == pytest.approx(whole)
    assert runs([high, changed, high, high], layout=layout) == [(2, 4)]


def test_once_enough_differs_the_rest_is_not_compared() -> None:
    high = RNG.integers(40, 200, (310, 64), np.uint8)
    other = high + 3
    other[300:] += 20
    shown = picture(high), picture(other)
    assert largest_difference(*shown) > 10
    assert largest_difference(*shown, 2.0) == pytest.approx(3)


def test_a_slow_change_ends_a_run() -> None:
    fading = [np.clip(BASE.astype(int) + step, 0, 255).astype(np.uint8) for step in range(9)]
    assert runs(fading) == [(0, 3), (3, 6), (6, 9)]


def test_the_difference_is_in_levels_of_255_whatever_the_depth() -> None:
    brighter = BASE + 3
    for layout in ("yuv420p", "yuv420p10le"):
        assert largest_difference(picture(BASE, layout), picture(brighter, layout)) == pytest.approx(3)
    assert largest_difference(picture(BASE), picture(BASE, "yuv420p10le")) == np.inf


def test_samples_that_cannot_be_compared_repeat_only_when_equal() -> None:
    pictures = [av.VideoFrame.from_ndarray(np.full((16, 16), value, np.float32), "grayf32le") for value in (0, 0, 1e-3)]
    assert largest_difference(pictures[0], pictures[1]) == 0
    assert largest_difference(pictures[0], pictures[2]) == np.inf
