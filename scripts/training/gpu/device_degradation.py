"""The degradation of `training.degradation` for a whole batch on the device, each crop by parameters of its own.

The chain is the same: Gaussian blur, shrink by area, exposure and colour, damage, noise, JPEG, cubic enlargement. For a
video codec stands JPEG at a quality of about its loss: codecs run on processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynface_video.faces.colour import LUMINANCE
from training.degradation import REFERENCE, Degradation, at_scale
from training.gpu.device_damage import damage_pictures
from training.gpu.jpeg import jpeg_round_trip
from training.gpu.resampling import apply_both_ways, area_matrices, cubic_matrices, repeat_last

SMALLEST = 8
"""Side in pixels that no crop is shrunk below."""
BORDER = 4
"""The crop's side over the width of the mirrored border that the blur reads."""
NO_JPEG = 0
CODEC_QUALITY = {
    "libx264": ((14, 18, 22, 26, 30, 34, 38, 42), (96, 95, 92, 86, 70, 40, 19, 11)),
    "mpeg4": ((3, 5, 8, 11, 14, 17, 20), (88, 73, 43, 26, 19, 14, 12)),
    "mpeg2video": ((3, 5, 8, 11, 14, 17, 20), (84, 70, 44, 29, 22, 18, 15)),
}
"""Quantisers of each encoder, and the JPEG qualities of the same squared error, measured on twenty noisy crops."""


@dataclass(frozen=True)
class DegradationBatch:
    """Parameters of B degradations in pixels of the crop, float32 tensors (B,) unless stated otherwise.

    covariance: (B, 3), of the blur, xx, xy, yy; sizes: (B,) long, sides of the small pictures; noise: std of 255;
    grain: share of it that is luminance only; quality: of JPEG, `NO_JPEG` without; grey, damage: 1 or 0
    """

    covariance: Tensor
    sizes: Tensor
    noise: Tensor
    grain: Tensor
    quality: Tensor
    gamma: Tensor
    grey: Tensor
    damage: Tensor

    @classmethod
    def of(cls, degradations: Sequence[Degradation], side: int, device: torch.device) -> DegradationBatch:
        """Of crops of `side` pixels, moved to the device in one transfer."""
        rows = np.array([_row(at_scale(d, side / REFERENCE), side) for d in degradations], np.float32)
        columns = torch.from_numpy(rows).to(device, non_blocking=True).T
        covariance, (sizes, *rest) = columns[:3].T, columns[3:]
        return cls(covariance, sizes.long(), *rest)


@torch.no_grad()
def degrade_batch(clean: Tensor, batch: DegradationBatch, generator: torch.Generator) -> Tensor:
    """Degrade clean crops, each in its own way.

    Args:
        clean: (B, 3, R, R) float in [0, 1]; R is a multiple of 16.
        batch: The parameters.
        generator: Of noise and damage, on the crops' device.

    Returns:
        (B, 3, R, R) float32 in [0, 1], quantised to 8 bits.
    """
    side = clean.shape[-1]
    small = apply_both_ways(area_matrices(batch.sizes, side), gaussian_blur_2d(clean, batch.covariance))
    small = small.clamp(0, 1) ** _column(batch.gamma)
    grey = torch.einsum("bchw,c->bhw", small, small.new_tensor(LUMINANCE))[:, None]
    small = torch.lerp(small, grey.expand_as(small), _column(batch.grey))
    small = damage_pictures(small, batch.sizes, batch.damage, generator)
    levels = ((small + _noise(batch, side, generator)).clamp(0, 1) * 255).round()
    levels = repeat_last(levels, batch.sizes)
    decoded = jpeg_round_trip(levels, batch.quality.clamp(min=1))
    levels = torch.where(_column(batch.quality) > NO_JPEG, decoded, levels)
    enlarged = apply_both_ways(cubic_matrices(batch.sizes, side), levels)
    return enlarged.round().clamp(0, 255) / 255


def gaussian_blur_2d(pictures: Tensor, covariance: Tensor) -> Tensor:
    """Blur each picture by an anisotropic Gaussian of its own, with half-sample mirrored borders.

    Args:
        pictures: (B, C, R, R).
        covariance: (B, 3), xx, xy and yy in pixels squared, x along the last axis.

    Returns:
        (B, C, R, R) float32: the transform times `exp(-2 pi^2 f^T S f)`.
    """
    side = pictures.shape[-1]
    pad = side // BORDER
    index = torch.arange(-pad, side + pad, device=pictures.device)
    index = torch.where(index < 0, -1 - index, torch.where(index >= side, 2 * side - 1 - index, index))
    padded = pictures.float()[:, :, index][..., index]
    total = side + 2 * pad
    fy = torch.fft.fftfreq(total, device=pictures.device)[None, :, None]
    fx = torch.fft.rfftfreq(total, device=pictures.device)[None, None, :]
    xx, xy, yy = (covariance[:, k, None, None] for k in range(3))
    transfer = torch.exp(-2 * torch.pi**2 * (xx * fx**2 + 2 * xy * fx * fy + yy * fy**2))
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer[:, None], s=(total, total))
    return blurred[..., pad : pad + side, pad : pad + side]


def _row(d: Degradation, side: int) -> list[float]:
    # The axes as in `training.degradation`: the first lies at `angle` from x towards y.
    c, s = np.cos(d.angle), np.sin(d.angle)
    xx = (d.blur_x * c) ** 2 + (d.blur_y * s) ** 2
    yy = (d.blur_x * s) ** 2 + (d.blur_y * c) ** 2
    xy = (d.blur_x**2 - d.blur_y**2) * c * s
    size = max(SMALLEST, round(side / max(d.downscale, 1.0)))
    return [xx, xy, yy, size, d.noise, d.grain, jpeg_quality(d), d.gamma, float(d.grey), float(d.damage)]


def jpeg_quality(d: Degradation) -> int:
    """The quality that stands for a degradation's compression; `NO_JPEG` where it has none."""
    if d.codec is None:
        return NO_JPEG if d.jpeg is None else d.jpeg
    encoder, quantiser = d.codec
    codec = round(float(np.interp(quantiser, *CODEC_QUALITY[encoder])))
    return codec if d.jpeg is None else min(codec, d.jpeg)


def _noise(batch: DegradationBatch, side: int, generator: torch.Generator) -> Tensor:
    shape, device = (len(batch.noise), 3, side, side), batch.noise.device
    colour = torch.randn(shape, generator=generator, device=device)
    film = torch.randn((shape[0], 1, side, side), generator=generator, device=device)
    grain = _column(batch.grain)
    return (colour * (1 - grain) + film * grain) * _column(batch.noise) / 255


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]
