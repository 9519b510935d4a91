"""The light that falls on a face, and its transfer from one crop to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.resampling import enlarge, gaussian_blur, reduce_area

LIGHT_SIZE = 16
"""Side of the grid that light is measured on."""
LIGHT_BLUR = 0.25
"""Sigma, in sides, above which brightness and colour are the light's and not the face's."""
DARKEST = 0.02
"""Added to both sides of the ratio of two lights, so that dark regions count little."""
LEAST_SHARE = 1e-3
Validity = Sequence[Tensor | None]
"""For each of N crops a mask (1, V, V), 1 inside the frame and 0 where the crop reaches beyond it, or None for a crop
inside it."""


def match_light(crop: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Give crops the coarse brightness and colour of others: old film flickers, and the face has to as well.

    Args:
        crop: (B, 3, R, R) float32 in [0, 1].
        target: The crops whose light is wanted, of the same shape and showing the same place.
        valid: (B, 1, R, R), 1 where both crops show the picture and 0 where either reaches beyond its rim; without it
            both are valid all over.
    """
    ratio = (measure_light(target, valid) + DARKEST) / (measure_light(crop, valid) + DARKEST)
    return enlarge(ratio, crop.shape[-1]).mul_(crop)


def measure_light(picture: Tensor, valid: Tensor | None = None) -> Tensor:
    """The light of pictures, (B, 3, L, L): their coarse brightness and colour; 1 where hardly anything is valid."""
    if valid is None:
        return _coarse(picture)
    share = _coarse(valid)
    return torch.where(share > LEAST_SHARE, _coarse(picture * valid) / share.clamp(min=LEAST_SHARE), 1.0)


@dataclass(frozen=True, eq=False)
class CoarsePictures:
    """What light is measured on: made once for each picture, however many pairs it belongs to.

    Attributes:
        mean: (N, 3, L, L), means of the valid parts of cells.
        share: (N, 1, L, L), the share of each cell that is valid.
    """

    mean: Tensor
    share: Tensor

    def __getitem__(self, rows: Sequence[int]) -> CoarsePictures:
        """Some of the pictures."""
        index = torch.tensor(list(rows), dtype=torch.long, device=self.mean.device)
        return CoarsePictures(self.mean[index], self.share[index])


def coarse_pictures(pictures: Tensor, validity: Validity | None = None) -> CoarsePictures:
    """Prepare pictures (N, 3, R, R) for `light_ratio`; a picture gives the same bytes in every batch."""
    size = min(pictures.shape[-1], LIGHT_SIZE)
    mean, share = reduce_area(pictures, size).clone(), pictures.new_ones(len(pictures), 1, size, size)
    for row, mask in enumerate(validity or ()):
        if mask is not None:
            inside = enlarge(mask[None].float(), pictures.shape[-1])
            share[row] = reduce_area(inside, size)[0]
            mean[row] = reduce_area(pictures[row] * inside, size)[0] / share[row].clamp(min=LEAST_SHARE)
    return CoarsePictures(mean, share)


def light_ratio(target: CoarsePictures, source: CoarsePictures, flow: Tensor) -> Tensor:
    """By what warped pictures are multiplied to have the light of those that they are warped to.

    Light is that of what both pictures of a pair show.

    Args:
        target: P pictures.
        source: As many.
        flow: From targets to sources, (P, 2, G, G) in sides, G at least L.

    Returns:
        (P, 3, L, L); 1 where hardly anything is valid in both.
    """
    seen, share = _moved(torch.cat([source.mean * source.share, source.share], dim=1), flow).split([3, 1], dim=1)
    common = _smooth(torch.cat([target.mean * target.share * share, target.share * seen, target.share * share], dim=1))
    lights = common[:, :6] / common[:, 6:].clamp(min=LEAST_SHARE) + DARKEST
    return torch.where(common[:, 6:] > LEAST_SHARE, lights[:, :3] / lights[:, 3:], 1.0)


def _moved(pictures: Tensor, flow: Tensor) -> Tensor:
    """Coarse pictures (P, C, L, L) warped by a flow as of `light_ratio`."""
    size = pictures.shape[-1]
    x, y = F.adaptive_avg_pool2d(flow, size).unbind(1)
    middles = (2 * torch.arange(size, device=flow.device) + 1) / size - 1
    places = torch.stack([middles + 2 * x, middles[:, None] + 2 * y], dim=-1)
    return F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)


def _coarse(picture: Tensor) -> Tensor:
    return _smooth(reduce_area(picture, min(picture.shape[-1], LIGHT_SIZE)))


def _smooth(picture: Tensor) -> Tensor:
    return gaussian_blur(picture, LIGHT_BLUR * picture.shape[-1], border="reflect")
