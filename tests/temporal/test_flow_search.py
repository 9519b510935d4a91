"""Flow is found where it is known, by both searches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dynface_video.resampling import gaussian_blur
from dynface_video.temporal.flow_search import dense_flow, flow_picture, inverse_search

SEARCHES = [dense_flow, inverse_search]


def texture(size: int = 160, sigma: float = 4.0) -> Tensor:
    noise = gaussian_blur(torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0)), sigma)
    return (0.5 + 0.12 * noise / noise.std()).clamp(0, 1)


def shifted(dx: int, dy: int = 0, size: int = 128) -> Tensor:
    return texture()[..., 16 + dy : 16 + dy + size, 16 + dx : 16 + dx + size].repeat(1, 3, 1, 1)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-5, 4), (0, 0)])
def test_the_flow_says_where_a_point_of_the_target_lies_in_the_source(
    search: Callable[[Tensor, Tensor], Tensor], dx: int, dy: int
) -> None:
    flow = search(flow_picture(shifted(dx, dy)), flow_picture(shifted(0)))[0, :, 24:-24, 24:-24]
    assert flow[0].median().item() == pytest.approx(dx, abs=0.2)
    assert flow[1].median().item() == pytest.approx(dy, abs=0.2)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_change_of_light_is_not_taken_for_motion(search: Callable[[Tensor, Tensor], Tensor]) -> None:
    flow = search(flow_picture(shifted(2)), flow_picture(0.8 * shifted(0)))[0, :, 24:-24, 24:-24]
    assert flow[0].median().item() == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("search", SEARCHES)
def test_where_nothing_is_drawn_there_is_no_flow(search: Callable[[Tensor, Tensor], Tensor]) -> None:
    flat = torch.full((1, 3, 128, 128), 0.5)
    assert search(flow_picture(flat), flow_picture(flat)).abs().max() < 1e-3


def test_a_large_crop_is_searched_on_the_same_grid_as_a_small_one() -> None:
    assert flow_picture(torch.rand(2, 3, 512, 512)).shape == (2, 1, 256, 256)
    assert flow_picture(torch.rand(2, 3, 96, 96)).shape == (2, 1, 96, 96)
