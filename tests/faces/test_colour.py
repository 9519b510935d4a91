"""Which crops have no colour."""

from __future__ import annotations

import numpy as np
import pytest

from coarse_colours import colourful, grey
from dynface_video.faces.colour import is_grey

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("tint", [(1, 1, 1), (1, 0.85, 0.65)])
def test_black_and_white_and_sepia_are_grey_even_with_noise(tint: tuple[float, float, float]) -> None:
    picture = grey(RNG, tint)
    noisy = np.clip(picture + RNG.normal(0, 0.03, picture.shape), 0, 1).astype(np.float32)
    assert is_grey(picture) and is_grey(noisy)


def test_colour_is_not_grey_even_in_the_dark() -> None:
    assert not is_grey(colourful(RNG))
    assert not is_grey((0.05 * colourful(RNG)).astype(np.float32))


def test_a_dark_face_before_a_white_wall_has_colour() -> None:
    picture = np.full((128, 128, 3), (0.86, 0.87, 0.88), np.float32)
    y, x = np.mgrid[:128, :128]
    picture[((x - 64) / 36) ** 2 + ((y - 60) / 50) ** 2 < 1] = (0.09, 0.09, 0.10)  # hair
    picture[((x - 64) / 34) ** 2 + ((y - 72) / 46) ** 2 < 1] = (0.29, 0.21, 0.175)  # skin
    picture[96:104, 50:78] = (0.325, 0.205, 0.20)  # lips
    assert not is_grey(picture)
    assert not is_grey(np.clip(picture + RNG.normal(0, 0.03, picture.shape), 0, 1).astype(np.float32))


def test_what_lies_outside_of_the_picture_does_not_count() -> None:
    validity = np.ones((128, 128), np.float32)
    validity[:, 80:] = 0
    spoilt = np.where(validity[..., None] > 0, grey(RNG), np.array([0, 0, 1], np.float32)).astype(np.float32)
    assert is_grey(spoilt, validity=validity)
    assert not is_grey(spoilt)
    assert not is_grey(colourful(RNG), validity=np.zeros((128, 128), np.float32))
