"""The light that falls on a face, and its transfer from one crop to another."""

from __future__ import annotations

import torch
from torch import Tensor

from dynface_video.temporal.resampling import enlarge, gaussian_blur, reduce_area

LIGHT_SIZE = 16
"""Side of the grid that light is measured on."""
LIGHT_BLUR = 0.25
"""Sigma, in sides, above which brightness and colour are the light's and not the face's."""
DARKEST = 0.02
"""Added to both sides of the ratio of two lights, so that it says little where it is darker."""
LEAST_SHARE = 1e-3


def match_light(crop: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Give crops the coarse brightness and colour of others: old film flickers, and the face has to as well.

    Args:
        crop: (B, 3, R, R) float32 in [0, 1].
        target: The crops whose light is wanted, of the same shape and showing the same place.
        valid: (B, 1, R, R), 1 where both crops show the picture and 0 where either reaches beyond its rim; without it
            both are valid all over.
    """
    return crop * enlarge(light_ratio(crop, target, valid), crop.shape[-1])


def light_ratio(crop: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """The ratio of the light of `target` to that of `crop`, (B, 3, L, L), as of `match_light`."""
    both = torch.cat([target, crop], dim=1)
    size = min(crop.shape[-1], LIGHT_SIZE)
    if valid is None:
        light = _coarse(both, size)
    else:
        share = _coarse(valid, size)
        # Where hardly anything is valid within reach there is no light to match: both get the same, and the ratio is 1.
        light = torch.where(share > LEAST_SHARE, _coarse(both * valid, size) / share.clamp(min=LEAST_SHARE), 1.0)
    here, there = (light + DARKEST).chunk(2, dim=1)
    return here / there


def _coarse(picture: Tensor, size: int) -> Tensor:
    return gaussian_blur(reduce_area(picture, size), LIGHT_BLUR * size, border="reflect")
