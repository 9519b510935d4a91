"""Windows of frames on the device: neighbours of a crop under simulated motion, degraded each in its own way.

The motions are those of `training.clips`. A motion is a function of the place, so that a frame can be made by it and be
brought back by its inverse: no optical flow is searched. What a search would err by is drawn instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.clips import BUMPS, MEDIAN_SPEED, STILL_SHARE
from training.data import NATIVE

INVERSE_ROUNDS = 4
ERROR_GRID = 8
MEDIAN_ERROR, ERROR_SPREAD = 0.25, 0.7
"""Of the flow's error, pixels of a crop of 128, and the std of its logarithm."""
TRUSTED_ERROR = 1.0
"""Pixels of a crop of 128: where a flow errs by as much, half of the crop itself stands in for the neighbour."""
ALL_SHARE, ONE_SIDE_SHARE = 0.55, 0.2
"""Of the windows: neighbours on both sides up to some distance, or on one side; of the others some at random."""


@dataclass(frozen=True)
class Motions:
    """Displacements of N frames, lengths in shares of the side, places from 0 to 1, (x, y).

    linear: (N, 2, 2), of the place about the middle; shift: (N, 2); centres, pushes: (N, J, 2); spreads: (N, J)
    """

    linear: Tensor
    shift: Tensor
    centres: Tensor
    spreads: Tensor
    pushes: Tensor

    @classmethod
    def draw(cls, count: int, times: Tensor, generator: torch.Generator) -> Motions:
        """Of `count` clips at `times`, (K,), distances in frames from the middle one; N is count * K, clip by clip."""
        device, frames = times.device, len(times)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=device)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        still = uniform(count) < STILL_SHARE
        jitter = torch.exp(0.6 * normal(count)) * 0.5 * ~(still & (uniform(count) < 0.5))
        speed = torch.exp(0.8 * normal(count)) * MEDIAN_SPEED * ~still
        unit = torch.tensor([1 / NATIVE, 1 / NATIVE, 0.006, 0.006], device=device)
        shake = torch.tensor([1 / NATIVE, 1 / NATIVE, 0.004, 0.004], device=device)
        path = (speed[:, None] * unit * normal(count, 4))[:, None] * times[:, None]
        path = (path + jitter[:, None, None] * shake * normal(count, frames, 4)).flatten(0, 1)
        zoom, turn = path[:, 2], path[:, 3]
        linear = torch.stack([torch.stack([zoom, -turn], 1), torch.stack([turn, zoom], 1)], 1)
        swing = 0.2 + uniform(count, 1, BUMPS, 1)
        push = 1.5 * speed[:, None, None, None] / NATIVE * normal(count, 1, BUMPS, 2)
        pushes = push * torch.sin(swing * times[:, None, None]) / swing
        centres, spreads = 0.2 + 0.65 * uniform(count, BUMPS, 2), 0.07 + 0.18 * uniform(count, BUMPS)
        return cls(
            linear,
            path[:, :2],
            centres.repeat_interleave(frames, 0),
            spreads.repeat_interleave(frames, 0),
            pushes.flatten(0, 1),
        )

    def at(self, places: Tensor) -> Tensor:
        """Displacements at places (N, H, W, 2)."""
        moved = torch.einsum("nij,nhwj->nhwi", self.linear, places - 0.5) + self.shift[:, None, None]
        for k in range(self.centres.shape[1]):
            distance = (places - self.centres[:, None, None, k]).square().sum(dim=-1, keepdim=True)
            bump = torch.exp(-distance / (2 * self.spreads[:, k, None, None, None].square()))
            moved = moved + bump * self.pushes[:, None, None, k]
        return moved

    def inverse_at(self, places: Tensor) -> Tensor:
        """The displacements g with `g(q) = -f(q + g(q))`, by fixed-point iteration."""
        back = torch.zeros_like(places)
        for _ in range(INVERSE_ROUNDS):
            back = -self.at(places + back)
        return back


def pixel_places(count: int, size: int, device: torch.device) -> Tensor:
    """Centres of the pixels of `count` crops as shares of the side, (count, size, size, 2), (x, y)."""
    line = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).expand(count, -1, -1, -1)


def sample_at(pictures: Tensor, places: Tensor) -> Tensor:
    """Pictures (N, C, R, R) read at places (N, H, W, 2) by cubic interpolation, mirrored beyond their borders."""
    return F.grid_sample(pictures.float(), 2 * places - 1, "bicubic", "reflection", align_corners=False)


def flow_errors(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Smooth errors of `count` flows, (count, size, size, 2), shares of the side."""
    device = generator.device
    std = MEDIAN_ERROR / 128 * torch.exp(ERROR_SPREAD * torch.randn(count, 1, 1, 1, generator=generator, device=device))
    coarse = torch.randn(count, 2, ERROR_GRID, ERROR_GRID, generator=generator, device=device)
    fine = F.interpolate(std * coarse, (size, size), mode="bicubic", align_corners=False)
    return fine.permute(0, 2, 3, 1)


def brought_back(middle: Tensor, neighbours: Tensor, motions: Motions, generator: torch.Generator) -> Tensor:
    """Neighbours as the middle crop would show them, found by a flow that errs; see `warp_neighbours`.

    Args:
        middle: (N, 3, R, R), the middle crop of each neighbour.
        neighbours: (N, 3, R, R).
        motions: That the neighbours were made by.
        generator: Of the flow's errors.

    Returns:
        (N, 3, R, R); where the flow is far off the middle crop stands in.
    """
    count, size = len(middle), middle.shape[-1]
    places, errors = pixel_places(count, size, middle.device), flow_errors(count, size, generator)
    seen = sample_at(neighbours, places + motions.inverse_at(places) + errors)
    wrong = (errors * 128 / TRUSTED_ERROR).square().sum(dim=-1)[:, None]
    return torch.lerp(middle.float(), seen, 1 / (1 + wrong.square()))


def present_neighbours(count: int, times: Tensor, generator: torch.Generator) -> Tensor:
    """Which neighbours windows have, (count, K) bool, at least one each; as `training.restoration.some_neighbours`."""
    device, size = times.device, len(times)
    kind, draw = torch.rand(2, count, 1, generator=generator, device=device)
    radius = times.abs().max()
    near = times.abs() <= 1 + (draw * radius).floor().clamp(max=radius - 1)
    side = (times > 0) == (draw < 0.5)
    some = torch.rand(count, size, generator=generator, device=device)
    some = (some < 0.6) | (some == some.amin(dim=1, keepdim=True))
    return torch.where(kind < ALL_SHARE, near, torch.where(kind < ALL_SHARE + ONE_SIDE_SHARE, side, some))
