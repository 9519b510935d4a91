"""The motion between aligned crops of one face, and how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.resampling import enlarge, gaussian_blur, reduce_area, warp
from dynface_video.temporal.flow_search import dense_flow, flow_picture
from dynface_video.temporal.light import match_light

GRID_SIZE = 32
"""Side of the grid that motions are judged and kept on: flow and weight are smooth, no crop needs a finer one."""
CONSISTENCY_TOLERANCE = 0.7 / 128
"""By how much the flows there and back may miss, in sides."""
# Chosen by `scripts/evaluate_video.py` on the clips clean_talk_512 and clean_address_mpeg4.
DIFFERENCE_TOLERANCE = 4.0
"""How many times as much as they typically do (their noise) two crops may differ, squared, where they show the same:
more is motion that the flow has not followed."""
NOISE_STD_RANGE = (0.0024, 0.04)
"""Bounds of the estimated std of the noise of the three channels together."""
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

    def __getitem__(self, index: int | slice | list[int] | Tensor | tuple[int | slice, ...]) -> Motion:
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


@dataclass(frozen=True, eq=False)
class MotionInput:
    """What motion between crops is measured on: made once for each crop, however many pairs it belongs to.

    Attributes:
        picture: (B, 1, S, S) uint8, for the search.
        crop: (B, 3, G, G) float32, on the motion's grid and slightly blurred.
        valid: (B, 1, G, G) float32, 1 where a crop and what is about lie inside the picture, else 0; None if all do.
    """

    picture: Tensor
    crop: Tensor
    valid: Tensor | None = None

    def __getitem__(self, index: slice) -> MotionInput:
        """Some of the crops."""
        valid = None if self.valid is None else self.valid[index]
        return MotionInput(self.picture[index], self.crop[index], valid)


def prepare_motion(crops: Tensor, validity: Tensor | None = None) -> MotionInput:
    """Prepare crops for `motion`; each has the same bytes in every batch.

    Args:
        crops: (B, 3, R, R) float32 RGB in [0, 1].
        validity: (B, 1, R, R), 1 inside the picture and 0 where a crop reaches beyond its border.
    """
    size = min(crops.shape[-1], GRID_SIZE)
    valid = None if validity is None else _eroded(reduce_area(validity.float(), size))
    blurred = _blur_inside(reduce_area(crops, size), DETAIL_BLUR * size, valid)
    return MotionInput(flow_picture(crops, quick=True), blurred, valid)


def join_motion_inputs(inputs: Sequence[MotionInput]) -> MotionInput:
    """One batch of several; where some have a validity mask, the others are valid everywhere."""
    picture, crop = torch.cat([one.picture for one in inputs]), torch.cat([one.crop for one in inputs])
    if all(one.valid is None for one in inputs):
        return MotionInput(picture, crop)
    masks = [torch.ones_like(one.crop[:, :1]) if one.valid is None else one.valid for one in inputs]
    return MotionInput(picture, crop, torch.cat(masks))


def motion(target: MotionInput, source: MotionInput) -> Motion:
    """The motion from target crops to source crops, pair by pair; a pair has the same bytes in every batch.

    The weight is near 1 where the flows there and back cancel and the source, warped, shows the same as the target; it
    is near 0 where something is covered or the flow has not followed. A change of light does not lower it. In regions
    that do not move there is no flow: it would follow the noise and shake the face.

    Args:
        target: B crops; both inputs have a validity mask or neither.
        source: As many.
    """
    _check_masks(target, source)
    return _judge(target, source, (_flow(target, source), _flow(source, target)))


def motion_both_ways(first: MotionInput, second: MotionInput) -> tuple[Motion, Motion]:
    """`motion(first, second)` and `motion(second, first)`, at little more than the price of one."""
    _check_masks(first, second)
    ways, count = (join_motion_inputs([first, second]), join_motion_inputs([second, first])), len(first.crop)
    flow = _flow(*ways)
    both = _judge(*ways, (flow, torch.cat([flow[count:], flow[:count]])))
    return both[:count], both[count:]


def _check_masks(first: MotionInput, second: MotionInput) -> None:
    if (first.valid is None) != (second.valid is None):
        raise ValueError("a validity mask is needed for both crops of a pair or for neither")


def _eroded(share: Tensor) -> Tensor:
    """1 where a cell and its neighbours lie inside: interpolation reaches that far."""
    return -F.max_pool2d(-(share > INSIDE).float(), 3, stride=1, padding=1)


def _flow(target: MotionInput, source: MotionInput) -> Tensor:
    """The flow on the motion's grid, in its pixels."""
    size = target.crop.shape[-1]
    flow = dense_flow(target.picture, source.picture, quick=True)
    return reduce_area(flow, size) * (size / target.picture.shape[-1])


def _judge(target: MotionInput, source: MotionInput, flows: tuple[Tensor, Tensor]) -> Motion:
    """The motion, given the flows there and back."""
    forward, size = flows[0], target.crop.shape[-1]
    agreed = forward_backward_consistency(*flows, tolerance=CONSISTENCY_TOLERANCE * size)
    seen = torch.cat([source.crop, warp(source.crop, forward)])
    valid = None
    if target.valid is not None and source.valid is not None:
        warped = (warp(source.valid, forward, "bilinear") > INSIDE).float()
        valid = torch.cat([target.valid * source.valid, target.valid * warped])
    difference = _difference(seen, torch.cat([target.crop, target.crop]), valid)
    before, after = _blur_inside(difference, REGION_BLUR * size, valid).chunk(2)
    moves = ((STILL - after / (before + TINY)) / (STILL - MOVING)).clamp(0, 1)
    # Where the flow is taken in part, so are the difference that it leaves and the one without it.
    still, moved = difference.chunk(2)
    left = still + moves * (moved - still)
    inside = None if valid is None else valid.chunk(2)[0] * valid.chunk(2)[1]
    low, high = (std**2 for std in NOISE_STD_RANGE)
    allowed = DIFFERENCE_TOLERANCE * _median(left, inside).clamp(low, high)
    weight = agreed * torch.exp((left / allowed).square() / -2)
    share = (forward * moves / size).half()
    if inside is None:
        return Motion(share, weight.half())
    return Motion(share, (weight * inside).half(), inside > 0)


def _difference(seen: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """Squared difference around each point, (B, 1, G, G), of what is seen and the target under the same light."""
    apart = (match_light(seen, target, valid) - target).square_()
    return _blur_inside(apart[:, :1] + apart[:, 1:2] + apart[:, 2:], PLACE_BLUR * seen.shape[-1], valid)


def _blur_inside(values: Tensor, sigma: float, valid: Tensor | None) -> Tensor:
    """Blur the values of valid points only; 0 where none is within reach."""
    if valid is None:
        return gaussian_blur(values, sigma)
    return gaussian_blur(values * valid, sigma) / gaussian_blur(valid, sigma).clamp(min=TINY)


def _median(values: Tensor, valid: Tensor | None) -> Tensor:
    """The lower median of each item over its valid points, (B, 1, 1, 1); 0 where it has none.

    Of every fourth point: the values are smooth.
    """
    counted = values if valid is None else torch.where(valid > 0, values, torch.nan)
    counted = counted[..., ::2, ::2]
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
