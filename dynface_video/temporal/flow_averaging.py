"""Crops of one face at other times, warped to where the face is now: windows for RM, and flow-guided averages.

Crops are (B, 3, R, R) float32 RGB in [0, 1]; K neighbours of each are (B, K, 3, R, R), and the motions from each crop
to its neighbours are a `Motion` with the leading axes (B, K). A neighbour that is absent has weight 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynface_video.resampling import enlarge, on_cpu, one_by_one, warp
from dynface_video.temporal.light import match_light, measure_light, with_light
from dynface_video.temporal.motion import Motion, motion, prepare_motion

FAR = 2 / 128
"""Length of a flow, in sides, at which an average gives its end half the weight: averages along longer ones lose
detail."""


def warp_neighbours(middle: Tensor, neighbours: Tensor, motions: Motion) -> Tensor:
    """Neighbouring crops as the middle one would show them, (B, K, 3, R, R): what RM reads beside it.

    Where a neighbour is not to be trusted the middle crop stands in its place.
    """
    results = []
    for k in range(neighbours.shape[1]):
        moved = motions[:, k]
        (warped,) = one_by_one(_stand_in, middle, neighbours[:, k], moved.flow, moved.weight, moved.valid)
        results.append(warped)
    return torch.stack(results, dim=1) if results else neighbours


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


def temporal_average(picture: Tensor, others: Tensor, motions: Motion, temporal_weight: float | Tensor = 1.0) -> Tensor:
    """Average pictures with those of other frames along the flow: the temporal term of the closed form.

    It is `argmin_u ||u - x||^2 + w sum_k c_k ||u - W_k x_k||^2` for each pixel, a weighted mean: `W_k` warps, `c_k` is
    the motion's weight, less where the flow is long, and each `W_k x_k` is first given the light of x.

    Args:
        picture: x, (B, 3, R, R) in [0, 1].
        others: x_k, (B, K, 3, R, R).
        motions: From x to each x_k.
        temporal_weight: w, at least 0, one for all or (B,).
    """
    weights = torch.as_tensor(temporal_weight, dtype=torch.float32, device=picture.device).expand(len(picture))

    def average(x: Tensor, x_k: Tensor, flow: Tensor, weight: Tensor, valid: Tensor | None, w: Tensor) -> tuple[Tensor]:
        fields, size = _fields(flow.float(), weight.float(), w), x.shape[-1]
        present = weight.flatten(2).any(dim=2)[0].tolist() if on_cpu(x) else [True] * x_k.shape[1]
        total, divisor = x.clone(), torch.ones_like(x[:, :1])
        light = measure_light(x)
        for k in range(x_k.shape[1]):
            if present[k]:
                moved = enlarge(fields[:, k], size)
                brought, share = warp(x_k[:, k], size * moved[:, :2]), moved[:, 2:]
                inside = None if valid is None else valid[:, k]
                total.addcmul_(share, _relit(brought, x, inside, light))
                divisor += share
        return (total.div_(divisor),)

    (result,) = one_by_one(average, picture, others, motions.flow, motions.weight, motions.valid, weights)
    return result.clamp(0, 1)


def _fields(flow: Tensor, weight: Tensor, temporal_weight: Tensor) -> Tensor:
    """The flows and, as a third channel, w c_k of `temporal_average`, (B, K, 3, G, G)."""
    far = (flow / FAR).square()
    near = 1 / (1 + far[:, :, :1] + far[:, :, 1:])
    return torch.cat([flow, temporal_weight[:, None, None, None, None] * near * weight], dim=2)


def _relit(warped: Tensor, picture: Tensor, valid: Tensor | None, light: Tensor | None = None) -> Tensor:
    """Match the light of a warped picture to its target's; `light` is the target's, for targets valid everywhere."""
    # A mask of ones must give the same bytes as no mask: it may be there because of another face of the batch.
    if valid is not None and not (on_cpu(picture) and bool(valid.all())):
        return match_light(warped, picture, enlarge(valid.float(), picture.shape[-1]))
    return match_light(warped, picture) if light is None else with_light(warped, light)


def _stand_in(middle: Tensor, neighbour: Tensor, flow: Tensor, weight: Tensor, valid: Tensor | None) -> tuple[Tensor]:
    if on_cpu(middle) and not weight.any():
        return (middle.clone(),)
    moved = Motion(flow, weight)
    seen = _relit(warp(neighbour, moved.flow_at(middle.shape[-1])), middle, valid)
    return ((middle + moved.weight_at(middle.shape[-1]) * (seen - middle)).clamp(0, 1),)
