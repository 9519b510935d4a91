"""Grain that is like the surroundings'."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.faces.colour import LUMINANCE
from dynface_video.faces.grain import add_grain, measure_grain

SIZE = 160
KEY = (0, 3, 17)


def scene(deviation: float, fineness: float = 0.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A portrait without and with grain that is twice as strong in the dark as in the light."""
    clean = cv2.GaussianBlur(astronaut()[30 : 30 + SIZE, 140 : 140 + SIZE].astype(np.float32) / 255, (0, 0), 1.5)
    noise = np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), fineness) if fineness else noise
    strength = deviation * (1.5 - (clean @ LUMINANCE))
    return clean, np.clip(clean + (strength * noise / noise.std())[..., None], 0, 1)


def soft_mask() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    return np.clip((60 - np.hypot(x, y)) / 12, 0, 1).astype(np.float32)


@pytest.mark.parametrize("deviation", [0.02, 0.05])
@pytest.mark.parametrize("fineness", [0.0, 0.7, 1.1])
def test_grain_in_the_face_is_that_of_the_surroundings(deviation: float, fineness: float) -> None:
    clean, region = scene(deviation, fineness)
    weight = soft_mask()
    pasted = region + weight[..., None] * (clean - region)
    result = add_grain(pasted, region, weight, amount=1.0, key=KEY)
    inside = weight > 0.9
    wanted, bare, found = (measure_grain(picture @ LUMINANCE, inside) for picture in (region, pasted, result))
    assert bare.stds.max() < 0.4 * wanted.stds.min()
    np.testing.assert_allclose(found.stds, wanted.stds, rtol=0.25)
    assert abs(np.log(found.coarseness / wanted.coarseness)) < 0.2


def test_only_luminance_inside_the_mask_changes() -> None:
    clean, region = scene(0.04)
    weight = soft_mask()
    pasted = 0.2 + 0.6 * (region + weight[..., None] * (clean - region))
    result = add_grain(pasted, 0.2 + 0.6 * region, weight, amount=1.0, key=KEY)
    np.testing.assert_array_equal(result[weight == 0], pasted[weight == 0])
    change = result - pasted
    np.testing.assert_allclose(change, np.repeat(change[..., :1], 3, axis=2), atol=1e-6)
    assert np.abs(change).max() > 0.02


def test_the_pattern_depends_on_seed_track_and_frame_alone() -> None:
    clean, region = scene(0.04)
    weight = soft_mask()
    one, again = (add_grain(clean, region, weight, amount=1.0, key=KEY) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    for other in ((1, 3, 17), (0, 4, 17), (0, 3, 18)):
        assert np.abs(add_grain(clean, region, weight, amount=1.0, key=other) - one).max() > 0.02


def test_a_face_that_has_its_grain_or_needs_none_gets_none() -> None:
    clean, region = scene(0.04)
    weight = soft_mask()
    np.testing.assert_array_equal(add_grain(clean, region, weight, amount=0.0, key=KEY), clean)
    np.testing.assert_array_equal(add_grain(region, clean, weight, amount=1.0, key=KEY), region)
    half, full = (add_grain(clean, region, weight, amount=amount, key=KEY) - clean for amount in (0.5, 1.0))
    assert 0.4 < half.std() / full.std() < 0.6
