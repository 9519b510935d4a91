from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from dynface_video.errors import InputError
from dynface_video.media.io.memory_image import as_image, image_file_of


def ramp(dtype: Any) -> np.ndarray:
    values = np.linspace(0, 1, 20 * 30 * 3).reshape(20, 30, 3)
    return np.rint(values * 255).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_what_does_not_change_comes_back_exactly(dtype: Any) -> None:
    image = ramp(dtype)
    samples = image_file_of(image).samples.copy()
    samples[3, 4] = samples.max()
    restored = as_image(samples, image)
    assert restored.dtype == dtype and restored.shape == image.shape
    np.testing.assert_array_equal(np.delete(restored, 3, axis=0), np.delete(image, 3, axis=0))
    np.testing.assert_allclose(restored[3, 4], image.max(), atol=1e-5)


def test_floats_have_16_bits() -> None:
    image = image_file_of(ramp(np.float32))
    assert image.deep and image.samples.max() == 65535


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_a_pil_image_keeps_its_mode_and_transparency(mode: str) -> None:
    image = Image.fromarray(ramp(np.uint8)).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(77)
    restored = as_image(image_file_of(image).samples, image)
    assert (restored.mode, restored.size) == (mode, image.size)
    if mode in ("RGBA", "LA"):
        assert restored.getchannel("A").getextrema() == (77, 77)
    difference = np.asarray(restored.convert("RGB"), int) - np.asarray(image.convert("RGB"), int)
    assert np.abs(difference).max() <= 1


def test_the_orientation_of_a_photograph_is_known() -> None:
    image = Image.new("RGB", (8, 6))
    image.getexif()[ExifTags.Base.Orientation] = 6
    assert image_file_of(image).orientation == 6
    assert image_file_of(Image.new("RGB", (8, 6))).orientation == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5)), r"shape \(4, 5\); expected RGB of shape \(H, W, 3\)"),
        (np.zeros((4, 5, 4), np.uint8), r"shape \(4, 5, 4\)"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (np.zeros((4, 5, 3), np.int32), "type int32; expected uint8, or floats"),
        (np.full((4, 5, 3), 200.0), "divide 8-bit values by 255"),
        (np.full((4, 5, 3), np.nan), "NaN"),
        ("face.png", "type str; expected a PIL image or a NumPy array"),
    ],
)
def test_anything_else_is_refused(image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        image_file_of(image)
