"""The light that falls on a face, and its transfer from one crop to another."""

from __future__ import annotations

import torch
from torch import Tensor

from dynface_video.resampling import enlarge, gaussian_blur, reduce_area

LIGHT_SIZE = 16
"""Side of the grid that light is measured on."""
LIGHT_BLUR = 0.25
"""Sigma, in sides, above which brightness and colour are the light's and not the face's."""
DARKEST = 0.02
"""Added to both sides of the ratio of two lights, so that dark regions count little."""
LEAST_SHARE = 1e-3


def match_light(crop: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Give crops the coarse brightness and colour of others: old film flickers, and the face has to as well.

    Args:
        crop: (B, 3, R, R) float32 in [0, 1].
        target: The crops whose light is wanted, of the same shape and showing the same place.
        valid: (B, 1, R, R), 1 where both crops show the picture and 0 where either reaches beyond its rim; without it
            both are valid all over.
    """
    return with_light(crop, measure_light(target, valid), valid)


def measure_light(picture: Tensor, valid: Tensor | None = None) -> Tensor:
    """The light of pictures, (B, 3, L, L): their coarse brightness and colour; 1 where hardly anything is valid."""
    if valid is None:
        return _coarse(picture)
    share = _coarse(valid)
    return torch.where(share > LEAST_SHARE, _coarse(picture * valid) / share.clamp(min=LEAST_SHARE), 1.0)


def with_light(crop: Tensor, light: Tensor, valid: Tensor | None = None) -> Tensor:
    """Crops in a light that `measure_light` has measured with the same `valid`; see `match_light`."""
    ratio = (light + DARKEST) / (measure_light(crop, valid) + DARKEST)
    return enlarge(ratio, crop.shape[-1]).mul_(crop)


def _coarse(picture: Tensor) -> Tensor:
    size = min(picture.shape[-1], LIGHT_SIZE)
    return gaussian_blur(reduce_area(picture, size), LIGHT_BLUR * size, border="reflect")
