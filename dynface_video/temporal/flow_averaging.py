"""Crops of one face at other times, warped to where the face is now: windows for RM, and flow-guided averages.

Crops are (N, 3, R, R) float32 RGB in [0, 1]. Who is warped onto whom are `Pairs`; what a face lacks has no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dynface_video.resampling import Warps, enlarge, sum_warped
from dynface_video.temporal.light import Validity, coarse_pictures, light_ratio
from dynface_video.temporal.motion import Motion, motion, prepare_motion

FAR = 6 / 128
"""Length of a flow, in sides, at which an average gives its end half the weight: averages along longer ones lose
detail."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of crops, the second of which is warped to the first.

    Attributes:
        targets: The row of each pair's crop.
        sources: The row of each pair's other crop; pairs in a row that have the same one share its preparation.
        motions: From each crop to the other one, with the leading axis P.
    """

    targets: Sequence[int]
    sources: Sequence[int]
    motions: Motion


def every_pair(motions: Motion, first: int = 0) -> Pairs:
    """The pairs of B crops with K others of their own each, as rows b and first + b * K + k.

    motions: with leading axes (B, K)
    """
    count, others = motions.flow.shape[:2]
    valid = None if motions.valid is None else motions.valid.flatten(0, 1)
    flat = Motion(motions.flow.flatten(0, 1), motions.weight.flatten(0, 1), valid)
    return Pairs([row for row in range(count) for _ in range(others)], range(first, first + count * others), flat)


def neighbour_motions(
    middle: Tensor, neighbours: Tensor, *, middle_valid: Tensor | None = None, neighbours_valid: Tensor | None = None
) -> Motion:
    """`motion` from each middle crop (B, 3, R, R) to each of its neighbours (B, K, 3, R, R), with leading axes (B, K).

    Args:
        middle: (B, 3, R, R) float32 RGB in [0, 1].
        neighbours: (B, K, 3, R, R), the same.
        middle_valid: (B, 1, R, R), 1 inside the picture and 0 where the crop reaches beyond its rim; both or neither.
        neighbours_valid: (B, K, 1, R, R), the same of the neighbours.
    """
    count = neighbours.shape[:2]

    def repeated(tensor: Tensor) -> Tensor:
        return tensor[:, None].expand(-1, count[1], -1, -1, -1).flatten(0, 1)

    moved = motion(
        prepare_motion(repeated(middle), None if middle_valid is None else repeated(middle_valid)),
        prepare_motion(neighbours.flatten(0, 1), None if neighbours_valid is None else neighbours_valid.flatten(0, 1)),
    )
    valid = None if moved.valid is None else moved.valid.unflatten(0, count)
    return Motion(moved.flow.unflatten(0, count), moved.weight.unflatten(0, count), valid)


def warp_neighbours(
    middle: Tensor,
    others: Tensor,
    pairs: Pairs,
    middle_validity: Validity | None = None,
    others_validity: Validity | None = None,
) -> Tensor:
    """Neighbouring crops as the middle ones would show them, (P, 3, R, R): what RM reads beside each of those.

    Where a neighbour is not to be trusted the middle crop stands in its place.

    Args:
        middle: (B, 3, R, R).
        others: The neighbours, (N, 3, R, R).
        pairs: Of rows of both.
        middle_validity: Of the middle crops; without it all lie inside the picture.
        others_validity: The same of the neighbours.
    """
    weight, flow = pairs.motions.weight.float(), pairs.motions.flow.float()
    own, coarse = coarse_pictures(middle, middle_validity), coarse_pictures(others, others_validity)
    light = light_ratio(own[pairs.targets], coarse[pairs.sources], flow)
    seen = sum_warped(others, Warps(range(len(flow)), pairs.sources, flow, weight, light), len(flow))
    targets = torch.tensor(list(pairs.targets), dtype=torch.long, device=middle.device)
    return seen.addcmul_(enlarge(1 - weight, middle.shape[-1]), middle[targets]).clamp_(0, 1)


def temporal_average(
    pictures: Tensor,
    count: int,
    pairs: Pairs,
    temporal_weight: float | Tensor = 1.0,
    validity: Validity | None = None,
) -> Tensor:
    """Average pictures with those of other frames along the flow: the temporal term of the closed form.

    It is `argmin_u ||u - x||^2 + w sum_k c_k ||u - W_k x_k||^2` for each pixel, a weighted mean: `W_k` warps, `c_k` is
    the motion's weight, less where the flow is long, and each `W_k x_k` is first given the light of x.

    Args:
        pictures: (N, 3, R, R) in [0, 1].
        count: How many of them, from the first, are averaged.
        pairs: Of rows of pictures.
        temporal_weight: w, at least 0, one for all or (count,).
        validity: Of the pictures; without it all lie inside the picture.

    Returns:
        (count, 3, R, R); on the CPU the same bytes in every batch, on CUDA within rounding.
    """
    x, flow = pictures[:count], pairs.motions.flow.float()
    targets = torch.tensor(list(pairs.targets), dtype=torch.long, device=x.device)
    w = torch.as_tensor(temporal_weight, dtype=torch.float32, device=x.device).expand(count)[targets]
    far = (flow / FAR).square()
    share = w[:, None, None, None] / (1 + far[:, :1] + far[:, 1:]) * pairs.motions.weight.float()
    coarse = coarse_pictures(pictures, validity)
    light = light_ratio(coarse[pairs.targets], coarse[pairs.sources], flow)
    total = x + sum_warped(pictures, Warps(pairs.targets, pairs.sources, flow, share, light), count)
    divisor = share.new_ones(count, *share.shape[1:]).index_add_(0, targets, share)
    return total.div_(enlarge(divisor, x.shape[-1])).clamp_(0, 1)
