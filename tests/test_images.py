"""Aligned crops keep their kind, type and values on the way to float arrays and back; others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dynface_video.errors import InputError
from dynface_video.images import as_array, as_images, like_input

BYTES = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
TENSOR = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "images",
    [
        Image.fromarray(BYTES),
        BYTES,
        (BYTES / 255).astype(np.float64),
        np.stack([BYTES, BYTES[::-1]]),
        [BYTES, Image.fromarray(BYTES)],
        (BYTES, BYTES[::-1]),
        TENSOR,
        TENSOR.double(),
    ],
)
def test_images_come_back_as_they_were(images: Any) -> None:
    pictures = as_images(images)
    assert all(picture.dtype == np.float32 and picture.shape == (8, 8, 3) for picture in pictures)
    returned = like_input(pictures, images)
    assert type(returned) is type(images)
    for before, after in zip(each(images), each(returned), strict=True):
        assert type(after) is type(before) and np.asarray(after).dtype == np.asarray(before).dtype
        np.testing.assert_allclose(np.asarray(after), np.asarray(before), atol=1e-6)


def each(images: Any) -> list[Any]:
    return [images] if isinstance(images, Image.Image) else list(images)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (BYTES[:, :6], r"shape \(8, 6, 3\); aligned crops are square"),
        (BYTES[..., 0], "expected RGB"),
        (TENSOR[0], r"expected \(B, 3, S, S\)"),
        (torch.from_numpy(BYTES).permute(2, 0, 1)[None], "divide 8-bit values by 255"),
        (BYTES.astype(np.float32), "divide 8-bit values by 255"),
        (np.full((8, 8, 3), np.nan), "NaN"),
        (BYTES.astype(np.int32), "type int32"),
    ],
)
def test_other_images_are_refused_with_the_reason(images: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        as_images(images)


def test_overshoot_of_interpolation_is_clipped() -> None:
    array = as_array(np.array([[[-0.05, 0.5, 1.05]]]))
    np.testing.assert_allclose(array, [[[0, 0.5, 1]]])


def test_no_crop_is_no_crop() -> None:
    empty = torch.zeros(0, 3, 8, 8)
    assert as_images(empty) == [] and like_input([], empty).shape == empty.shape
