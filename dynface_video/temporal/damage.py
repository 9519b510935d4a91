"""Damage of single frames - dust, scratches, hairs, tears - is removed by what the frames around it show.

Film is damaged frame by frame: what a frame shows and the frames before and after it do not, though they agree with one
another, is not of the face (Kokaram 1998, spike detection along the motion). A line that stays for seconds is in the
neighbours as well and is not found. Eyes and mouths move in one frame more than anything else of a face, so there
only what stands out twice as much is taken for damage.

Crops are (B, 3, R, R) float32 RGB in [0, 1]; K neighbours of each are (B, K, 3, R, R).
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.faces.align import template
from dynface_video.faces.colour import LUMINANCE
from dynface_video.resampling import one_by_one, warp
from dynface_video.temporal.light import match_light
from dynface_video.temporal.motion import Motion

FEWEST_NEIGHBOURS = 3
"""With fewer, one of them that is damaged itself could not be told from the others."""
LEAST_DIFFERENCE = 0.07
"""By how much the luminance of damage differs from the neighbours' at least."""
NOISE_TOLERANCE = 5.0
"""The same in stds of what the crop differs by from its neighbours for noise."""
DISAGREEMENT = 1.5
"""The same in differences between the neighbours."""
GROWTH = 0.5
"""Pixels beside damage that differ by this share of the threshold are damage, too."""
LARGEST_SHARE = 0.15
"""Share of a crop: more than that is a flash or something that passes, not damage."""
MISSED = 2 / 256
"""By how much the flow may miss, in sides of the crop: edges move by so much without being damage."""
SMEAR = 1.5 / 256
"""How far codecs and scaling smear damage, in sides of the crop."""
EXPRESSIVE = 2.0
"""Factor of the threshold around eyes and mouth."""
EYE, MOUTH = (0.10, 0.055), (0.17, 0.09)
"""Half axes of the ellipses around an eye and the mouth, in sides of the crop."""


def remove_damage(crops: Tensor, neighbours: Tensor, motions: Motion) -> Tensor:
    """Replace what only the middle crop shows by what its neighbours show there.

    Args:
        crops: (B, 3, R, R).
        neighbours: Of the frames before and after, (B, K, 3, R, R).
        motions: From each crop to its neighbours, with leading axes (B, K); a neighbour without weight is absent.

    Returns:
        (B, 3, R, R); a crop without damage, or with fewer than `FEWEST_NEIGHBOURS`, is unchanged.
    """
    if neighbours.shape[1] < FEWEST_NEIGHBOURS:
        return crops
    (repaired,) = one_by_one(_repaired, crops, neighbours, motions.flow, motions.weight, motions.valid)
    return repaired


def _repaired(crops: Tensor, neighbours: Tensor, flow: Tensor, weight: Tensor, valid: Tensor | None) -> tuple[Tensor]:
    size, rows = crops.shape[-1], []
    present = weight.flatten(2).any(dim=2)
    for row in range(len(crops)):
        others = present[row].nonzero()[:, 0]
        crop = crops[row : row + 1]
        if len(others) < FEWEST_NEIGHBOURS:
            rows.append(crop)
            continue
        moved = Motion(flow[row][others], weight[row][others], None if valid is None else valid[row][others])
        target = crop.expand(len(others), -1, -1, -1)
        seen = warp(neighbours[row][others], moved.flow_at(size))
        inside = None if moved.valid is None else F.interpolate(moved.valid.float(), size)
        seen = match_light(seen, target, inside)
        share = damaged_share(crop, seen)
        if inside is not None:
            share = share * inside.amin(dim=0, keepdim=True)
        rows.append(crop + share * (_middle(seen) - crop) if share.any() else crop)
    return (torch.cat(rows).clamp(0, 1),)


def damaged_share(crop: Tensor, seen: Tensor) -> Tensor:
    """How far each pixel is damaged.

    Args:
        crop: (1, 3, R, R).
        seen: Its neighbours warped onto it, in its light, (K, 3, R, R) with K of at least `FEWEST_NEIGHBOURS`.

    Returns:
        (1, 1, R, R) in [0, 1], soft at the border of damage.
    """
    size, count = crop.shape[-1], len(seen)
    own, others = _luminance(crop), _luminance(seen).sort(dim=0).values
    # One neighbour may be damaged here itself: the others have to agree, on either side of what is left out.
    low, high = others[:-1], others[1:]
    agreeing = count - 2
    ranges = torch.stack([low[agreeing] - low[0], high[agreeing] - high[0]])
    first = ranges[0] <= ranges[1]
    spread = ranges.amin(dim=0, keepdim=True)
    bottom, top = torch.where(first, low[0], high[0])[None], torch.where(first, low[agreeing], high[agreeing])[None]
    outside = torch.maximum(own - top, bottom - own).clamp(min=0)
    near = 2 * max(1, round(MISSED * size)) + 1
    beyond = torch.maximum(own - _largest(top, near), -_largest(-bottom, near) - own)
    noise = 1.4826 * (own - 0.5 * (bottom + top)).abs().median()
    limit = (torch.clamp(NOISE_TOLERANCE * noise, min=LEAST_DIFFERENCE) + DISAGREEMENT * spread) * _caution(
        size, crop.device
    )
    sure, possible = beyond > limit, outside > GROWTH * limit
    if not sure.any():
        return torch.zeros_like(own)
    damaged = _grown(sure[0, 0], possible[0, 0])
    if float(damaged.mean()) > LARGEST_SHARE:
        return torch.zeros_like(own)
    wide = _largest(damaged[None, None], 2 * max(1, round(SMEAR * size)) + 1)
    return F.avg_pool2d(F.pad(wide, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def _largest(values: Tensor, side: int) -> Tensor:
    return F.max_pool2d(values, side, stride=1, padding=side // 2)


def _grown(sure: Tensor, possible: Tensor) -> Tensor:
    """The connected parts of `possible` that hold something sure, (R, R) float32."""
    _, labels = cv2.connectedComponents(possible.cpu().numpy().astype(np.uint8), connectivity=8)
    kept = np.unique(labels[sure.cpu().numpy()])
    return torch.from_numpy(np.isin(labels, kept[kept > 0]).astype(np.float32)).to(sure.device)


def _middle(seen: Tensor) -> Tensor:
    """The median of neighbours (K, 3, R, R), of an even number the mean of the middle two: (1, 3, R, R)."""
    ordered, count = seen.sort(dim=0).values, len(seen)
    return ordered[(count - 1) // 2 : count // 2 + 1].mean(dim=0, keepdim=True)


def _luminance(pictures: Tensor) -> Tensor:
    red, green, blue = pictures.split(1, dim=1)
    return float(LUMINANCE[0]) * red + float(LUMINANCE[1]) * green + float(LUMINANCE[2]) * blue


@lru_cache(maxsize=8)
def _caution(size: int, device: torch.device) -> Tensor:
    """Factor of the threshold, (1, 1, size, size): `EXPRESSIVE` around eyes and mouth, else 1."""
    points = template(size)
    y, x = np.mgrid[:size, :size]
    factor = np.ones((size, size), np.float32)
    for middle, (wide, high) in ((points[0], EYE), (points[1], EYE), (points[3:].mean(axis=0), MOUTH)):
        near = ((x - middle[0]) / (wide * size)) ** 2 + ((y - middle[1]) / (high * size)) ** 2
        factor = np.maximum(factor, 1 + (EXPRESSIVE - 1) * np.clip(2 - near, 0, 1).astype(np.float32))
    return torch.from_numpy(factor)[None, None].to(device)
