from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from evaluated_faces import picture
from training.gpu.resampling import apply_both_ways, area_matrices, cubic_matrices, repeat_last

SIDE = 48
SIZES = (48, 40, 17, 8)


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.stack([torch.from_numpy(picture(k, SIDE)).permute(2, 0, 1) for k in range(len(SIZES))])


def test_shrinking_is_opencvs_area_interpolation(pictures: torch.Tensor) -> None:
    shrunk = apply_both_ways(area_matrices(torch.tensor(SIZES), SIDE), pictures)
    for k, size in enumerate(SIZES):
        expected = cv2.resize(pictures[k].permute(1, 2, 0).numpy(), (size, size), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(shrunk[k, :, :size, :size].permute(1, 2, 0), expected, atol=2e-6)
        assert torch.equal(shrunk[k, :, size:, :size], shrunk[k, :, size - 1 : size, :size].expand(-1, SIDE - size, -1))


def test_enlarging_is_opencvs_cubic_interpolation(pictures: torch.Tensor) -> None:
    sizes = torch.tensor(SIZES)
    small = apply_both_ways(area_matrices(sizes, SIDE), pictures)
    enlarged = apply_both_ways(cubic_matrices(sizes, SIDE), small)
    for k, size in enumerate(SIZES):
        source = np.ascontiguousarray(small[k, :, :size, :size].permute(1, 2, 0).numpy())
        expected = cv2.resize(source, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(enlarged[k].permute(1, 2, 0), expected, atol=2e-5)


def test_what_lies_beyond_the_small_picture_has_no_influence(pictures: torch.Tensor) -> None:
    sizes = torch.tensor(SIZES)
    other = pictures.clone()
    for k, size in enumerate(SIZES):
        other[k, :, size:], other[k, :, :, size:] = 7.0, 7.0
    matrices = cubic_matrices(sizes, SIDE)
    assert torch.equal(apply_both_ways(matrices, pictures), apply_both_ways(matrices, other))


def test_the_canvas_repeats_the_last_row_and_column(pictures: torch.Tensor) -> None:
    canvas = repeat_last(pictures, torch.tensor(SIZES))
    for k, size in enumerate(SIZES):
        inner = pictures[k, :, :size, :size].numpy()
        expected = np.pad(inner, ((0, 0), (0, SIDE - size), (0, SIDE - size)), mode="edge")
        np.testing.assert_array_equal(canvas[k], expected)
