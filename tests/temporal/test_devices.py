"""On another device than the CPU everything is torch: nothing is fetched, and the results are those of the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dynface_video import resampling
from dynface_video.resampling import enlarge, gaussian_blur, reduce_area, warp
from dynface_video.temporal import flow_search
from dynface_video.temporal.flow_averaging import (
    every_pair,
    neighbour_motions,
    temporal_average,
    warp_neighbours,
)
from dynface_video.temporal.motion import Motion, motion_both_ways, prepare_motion


class Fetches(TorchDispatchMode):
    """Counts what would copy values of a device's tensors to the host: `.item()`, branches, `.cpu()`, `.numpy()`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.count = 0
        for name in ("numpy", "cpu", "tolist", "__array__"):
            monkeypatch.setattr(Tensor, name, self._fetch)

    def _fetch(self, *_: Any, **__: Any) -> Any:
        self.count += 1
        raise AssertionError("a tensor's values were fetched")

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        self.count += operator in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return operator(*arguments, **(named or {}))


def without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way of other devices, on tensors whose values can be read."""
    for module in (resampling, flow_search):
        monkeypatch.setattr(module, "on_cpu", lambda tensor: False)


def crops(count: int, size: int = 128, dx: int = 0) -> Tensor:
    noise = torch.randn(1, 1, size + 40, size + 40, generator=torch.Generator().manual_seed(3))
    coarse = gaussian_blur(noise, 4.0)
    face = (0.5 + 0.12 * coarse / coarse.std()).clamp(0, 1)[..., 20 : 20 + size, 10 + dx : 10 + dx + size]
    grain = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(dx))
    return (face + 0.02 * grain).clamp(0, 1)


def average(pictures: Tensor, others: Tensor, motions: Motion, weight: float | Tensor = 1.0) -> Tensor:
    count = len(pictures)
    return temporal_average(torch.cat([pictures, others.flatten(0, 1)]), count, every_pair(motions, count), weight)


@pytest.mark.parametrize("size", [96, 256])
def test_nothing_is_fetched_from_a_device(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    without_opencv(monkeypatch)
    picture, others = crops(2, size), torch.stack([crops(2, size, 3), crops(2, size, 5)], dim=1)
    valid, others_valid = torch.ones(2, 1, size, size), torch.ones(2, 2, 1, size, size)
    with Fetches(monkeypatch) as fetches:
        motions = neighbour_motions(picture, others, middle_valid=valid, neighbours_valid=others_valid)
        warp_neighbours(
            picture, others.flatten(0, 1), every_pair(motions), list(valid), list(others_valid.flatten(0, 1))
        )
        average(picture, others, motions, 0.5)
        average(picture, others, motions, torch.tensor([0.5, 0.7]))
        motion_both_ways(prepare_motion(picture), prepare_motion(others[:, 0]))
        assert fetches.count == 0
        with pytest.raises(AssertionError, match="fetched"):
            picture.numpy()
        assert picture.sum() > 0
    assert fetches.count == 2


def test_primitives_agree_with_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    without_opencv(monkeypatch)
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
        return motions, average(picture, others, motions)

    motions, averaged = found()
    without_opencv(monkeypatch)
    alone, average_alone = found()
    inner = (..., slice(12, -12), slice(12, -12))
    assert 128 * (alone.flow - motions.flow)[inner].float().abs().mean() < 0.15
    assert (alone.weight - motions.weight)[inner].float().abs().mean() < 0.1
    assert (average_alone - averaged)[inner].square().mean() < 2e-4 * averaged.var()
    assert alone.weight[inner].float().mean() > 0.7
