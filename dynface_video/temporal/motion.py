"""The motion between aligned crops of one face, and how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.resampling import enlarge, gaussian_blur, one_by_one, reduce_area, warp
from dynface_video.temporal.flow_search import dense_flow, flow_picture
from dynface_video.temporal.light import match_light

GRID_SIZE = 64
"""Side of the grid that motions are kept on: flow and weight are smooth, no crop needs a finer one."""
CONSISTENCY_TOLERANCE = 0.7 / 128
"""By how much the flows there and back may miss, in sides."""
# Chosen by `scripts/evaluate_video.py` on the clips clean_talk_512 and clean_address_mpeg4.
DIFFERENCE_TOLERANCE = 4.0
"""How many times as much as they typically do (their noise) two crops may differ, squared, where they show the same:
more is motion that the flow has not followed."""
NOISE_STD_RANGE = (0.0024, 0.04)
"""The noise of the three channels together is taken for at least and at most this, standard deviation."""
DETAIL_BLUR, PLACE_BLUR = 2 / 128, 3 / 128
"""What is finer is not compared; over how large a place a difference is judged. Sigmas, in sides."""
REGION_BLUR = 12 / 128
"""Over how large a region it is decided whether the face moves there, sigma in sides."""
STILL, MOVING = 0.85, 0.6
"""What a flow leaves of a region's difference: from the first share on the region stands still and the flow has
followed noise, up to the second it moves; in between the flow is taken in part."""
INSIDE = 0.99
"""Share of a cell of the grid that must lie inside the picture for the cell to count."""
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the points of target crops lie in source crops: small enough to be kept for every pair of a window.

    Convention: the point p of the target, in pixels of a crop of R by R, lies at p + R * flow in the source.

    Attributes:
        flow: (..., 2, G, G) float16, x first, in sides of the crop; G is at most `GRID_SIZE`.
        weight: (..., 1, G, G) float16 in [0, 1], how far the flow is to be trusted.
        valid: (..., 1, G, G) bool, where both crops lie inside the picture, or None where they do everywhere.
    """

    flow: Tensor
    weight: Tensor
    valid: Tensor | None = None

    def __getitem__(self, index: int | slice | Tensor | tuple[int | slice, ...]) -> Motion:
        """Motions chosen along the first axis."""
        return Motion(self.flow[index], self.weight[index], None if self.valid is None else self.valid[index])

    def flow_at(self, size: int) -> Tensor:
        """The flow for crops of `size` pixels: (B, 2, size, size) float32 pixels."""
        return enlarge(self.flow.float(), size) * size

    def weight_at(self, size: int) -> Tensor:
        """The weight for crops of `size` pixels: (B, 1, size, size) float32."""
        return enlarge(self.weight.float(), size)


def stack_motions(motions: Sequence[Motion]) -> Motion:
    """Motions of one shape with a new first axis; where some have a validity mask, the others are valid everywhere."""
    flow, weight = torch.stack([m.flow for m in motions]), torch.stack([m.weight for m in motions])
    if all(m.valid is None for m in motions):
        return Motion(flow, weight)
    masks = [torch.ones_like(m.weight, dtype=torch.bool) if m.valid is None else m.valid for m in motions]
    return Motion(flow, weight, torch.stack(masks))


def absent_motions(count: int, size: int, device: torch.device) -> Motion:
    """Motions of weight 0 to `count` neighbours that a face lacks, for crops of `size` pixels: what batches are filled
    up with."""
    grid = min(size, GRID_SIZE)
    flow = torch.zeros(count, 2, grid, grid, dtype=torch.float16, device=device)
    return Motion(flow, flow[:, :1])


def motion(
    target: Tensor, source: Tensor, *, target_valid: Tensor | None = None, source_valid: Tensor | None = None
) -> Motion:
    """The motion from target crops to source crops, pair by pair.

    The weight is near 1 where the flows there and back cancel and the source, warped, shows the same as the target; it
    is near 0 where something is covered or the flow has not followed. A change of light does not lower it. In regions
    that do not move there is no flow: it would follow the noise and shake the face.

    Args:
        target: (B, 3, R, R) float32 RGB in [0, 1].
        source: The same.
        target_valid: (B, 1, R, R), 1 inside the picture and 0 where the crop reaches beyond its rim; both masks or
            neither.
        source_valid: The same of the source.
    """
    return _motions(target, source, target_valid, source_valid, both=False)[0]


def motion_both_ways(
    first: Tensor, second: Tensor, *, first_valid: Tensor | None = None, second_valid: Tensor | None = None
) -> tuple[Motion, Motion]:
    """`motion(first, second)` and `motion(second, first)`, at little more than the price of one."""
    there, back = _motions(first, second, first_valid, second_valid, both=True)
    return there, back


def _motions(
    first: Tensor, second: Tensor, first_valid: Tensor | None, second_valid: Tensor | None, *, both: bool
) -> tuple[Motion, ...]:
    if (first_valid is None) != (second_valid is None):
        raise ValueError("a validity mask is needed for both crops of a pair or for neither")

    def pair(one: Tensor, other: Tensor, one_valid: Tensor | None, other_valid: Tensor | None) -> tuple[Tensor, ...]:
        targets, sources = _on_grid(one, one_valid), _on_grid(other, other_valid)
        pictures = flow_picture(one), flow_picture(other)
        forward, backward = (_flow(*way, targets.crop.shape[-1]) for way in (pictures, pictures[::-1]))
        if not both:
            return _judge(targets, sources, forward, backward)
        ways = targets.join(sources), sources.join(targets)
        found = _judge(*ways, torch.cat([forward, backward]), torch.cat([backward, forward]))
        there, back = zip(*(part.chunk(2) for part in found), strict=True)
        return (*there, *back)

    parts = one_by_one(pair, first, second, first_valid, second_valid)
    step = 2 if first_valid is None else 3
    return tuple(Motion(*parts[i : i + step]) for i in range(0, len(parts), step))


@dataclass(frozen=True, eq=False)
class _OnGrid:
    """Crops and their validity on the motion's grid: (B, 3, G, G) and (B, 1, G, G)."""

    crop: Tensor
    valid: Tensor | None

    def join(self, other: _OnGrid) -> _OnGrid:
        masks = None if self.valid is None or other.valid is None else torch.cat([self.valid, other.valid])
        return _OnGrid(torch.cat([self.crop, other.crop]), masks)


def _on_grid(crop: Tensor, valid: Tensor | None) -> _OnGrid:
    size = min(crop.shape[-1], GRID_SIZE)
    return _OnGrid(reduce_area(crop, size), None if valid is None else _eroded(reduce_area(valid.float(), size)))


def _eroded(share: Tensor) -> Tensor:
    """1 where a cell and its neighbours lie inside: interpolation reaches that far."""
    return -F.max_pool2d(-(share > INSIDE).float(), 3, stride=1, padding=1)


def _flow(target: Tensor, source: Tensor, size: int) -> Tensor:
    """The flow between pictures for the search on a grid of `size`, in its pixels."""
    return reduce_area(dense_flow(target, source), size) * (size / target.shape[-1])


def _judge(targets: _OnGrid, sources: _OnGrid, forward: Tensor, backward: Tensor) -> tuple[Tensor, ...]:
    """Flow, weight and, for crops with masks, validity of a `Motion`."""
    size = forward.shape[-1]
    agreed = forward_backward_consistency(forward, backward, tolerance=CONSISTENCY_TOLERANCE * size)
    # Without the flow and with it, in one batch.
    tried = torch.cat([torch.zeros_like(forward), forward])
    before, after = _region(*_difference(targets.join(targets), sources.join(sources), tried)).chunk(2)
    moves = ((STILL - after / (before + TINY)) / (STILL - MOVING)).clamp(0, 1)
    flow = forward * moves
    difference, valid = _difference(targets, sources, flow)
    low, high = (std**2 for std in NOISE_STD_RANGE)
    allowed = DIFFERENCE_TOLERANCE * _median(difference, valid).clamp(low, high)
    weight = agreed * torch.exp((difference / allowed).square() / -2)
    share = (flow / size).half()
    return (share, weight.half()) if valid is None else (share, (weight * valid).half(), valid > 0)


def _difference(targets: _OnGrid, sources: _OnGrid, flow: Tensor) -> tuple[Tensor, Tensor | None]:
    """Squared difference of target and warped source around each point, under the same light, and where it is valid."""
    size = flow.shape[-1]
    valid = None
    if targets.valid is not None and sources.valid is not None:
        valid = targets.valid * (warp(sources.valid, flow, "bilinear") > INSIDE)
    apart = match_light(warp(sources.crop, flow), targets.crop, valid) - targets.crop
    apart = _blur_inside(apart, DETAIL_BLUR * size, valid)
    squared = apart[:, :1].square() + apart[:, 1:2].square() + apart[:, 2:].square()
    return _blur_inside(squared, PLACE_BLUR * size, valid), valid


def _region(difference: Tensor, valid: Tensor | None) -> Tensor:
    return _blur_inside(difference, REGION_BLUR * difference.shape[-1], valid)


def _blur_inside(values: Tensor, sigma: float, valid: Tensor | None) -> Tensor:
    """Blur the values of valid points only; 0 where none is within reach."""
    if valid is None:
        return gaussian_blur(values, sigma)
    return gaussian_blur(values * valid, sigma) / gaussian_blur(valid, sigma).clamp(min=TINY)


def _median(values: Tensor, valid: Tensor | None) -> Tensor:
    """The lower median of each item over its valid points, (B, 1, 1, 1); 0 where it has none."""
    counted = values if valid is None else torch.where(valid > 0, values, torch.nan)
    return counted.flatten(1).nanmedian(dim=1).values.nan_to_num(0.0)[:, None, None, None]


def forward_backward_consistency(forward: Tensor, backward: Tensor, *, tolerance: float) -> Tensor:
    """How far a flow and the one back cancel, (B, 1, R, R) in [0, 1]: near 0 where something is covered or mistaken.

    Args:
        forward: (B, 2, R, R) pixels, from the target to the source.
        backward: The same from the source to the target.
        tolerance: Pixels by which the way there and back may miss for the result to fall to exp(-1/2).
    """
    missed = forward + warp(backward, forward, "bilinear")
    return torch.exp((missed[:, :1].square() + missed[:, 1:].square()) / (-2 * tolerance**2))
