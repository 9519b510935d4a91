"""On another device than the CPU everything is torch: nothing is fetched, and the results are those of the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dynface_video.temporal import flow_averaging, flow_search, resampling
from dynface_video.temporal.flow_averaging import (
    neighbour_motions,
    temporal_average,
    temporal_average_detail,
    warp_neighbours,
)
from dynface_video.temporal.motion import Motion, motion_both_ways
from dynface_video.temporal.resampling import enlarge, gaussian_blur, reduce_area, warp


@pytest.fixture
def torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way of other devices, on tensors whose values can be read."""
    for module in (resampling, flow_search, flow_averaging):
        monkeypatch.setattr(module, "on_cpu", lambda tensor: False)


def crops(count: int, size: int = 128, dx: int = 0) -> Tensor:
    noise = torch.randn(1, 1, size + 40, size + 40, generator=torch.Generator().manual_seed(3))
    coarse = gaussian_blur(noise, 4.0)
    face = (0.5 + 0.12 * coarse / coarse.std()).clamp(0, 1)[..., 20 : 20 + size, 10 + dx : 10 + dx + size]
    grain = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(dx))
    return (face + 0.02 * grain).clamp(0, 1)


@pytest.mark.parametrize("size", [96, 128, 256, 512])
def test_nothing_leaves_the_device(size: int) -> None:
    # Tensors of the meta device have no values: whatever asked for one would raise.
    picture, others = torch.rand(2, 3, size, size, device="meta"), torch.rand(2, 4, 3, size, size, device="meta")
    valid = torch.ones(2, 1, size, size, device="meta")
    everywhere = torch.ones(2, 4, 1, size, size, device="meta")
    motions = neighbour_motions(picture, others, middle_valid=valid, neighbours_valid=everywhere)
    assert motions.flow.shape == (2, 4, 2, 64, 64)
    assert warp_neighbours(picture, others, motions).shape == others.shape
    assert temporal_average(picture, others, motions, 0.5).shape == picture.shape
    assert temporal_average_detail(picture, others, motions).device.type == "meta"
    there, _ = motion_both_ways(picture, picture, first_valid=valid, second_valid=valid)
    assert there.valid is not None and there.valid.shape == (2, 1, 64, 64)


@pytest.mark.usefixtures("torch_alone")
def test_primitives_agree_with_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = 5 * gaussian_blur(torch.randn(2, 2, 128, 128, generator=torch.Generator().manual_seed(1)), 6.0)
    picture = crops(2)
    here = [reduce_area(picture, 48), enlarge(picture, 200), warp(picture, flow)]
    monkeypatch.undo()
    for alone, cpu in zip(here, [reduce_area(picture, 48), enlarge(picture, 200), warp(picture, flow)], strict=True):
        assert (alone - cpu).abs().max() < 5e-3
        assert (alone - cpu).square().mean() < 1e-6


def test_motions_and_averages_agree_with_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, others = crops(2, dx=2), torch.stack([crops(2, dx=0), crops(2, dx=5)], dim=1)

    def found() -> tuple[Motion, Tensor]:
        motions = neighbour_motions(picture, others)
        return motions, temporal_average(picture, others, motions)

    motions, average = found()
    for module in (resampling, flow_search, flow_averaging):
        monkeypatch.setattr(module, "on_cpu", lambda tensor: False)
    alone, average_alone = found()
    inner = (..., slice(12, -12), slice(12, -12))
    assert 128 * (alone.flow - motions.flow)[inner].float().abs().mean() < 0.15
    assert (alone.weight - motions.weight)[inner].float().abs().mean() < 0.1
    assert (average_alone - average)[inner].square().mean() < 1e-4 * average.var()
    assert alone.weight[inner].float().mean() > 0.7
