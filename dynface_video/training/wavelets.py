"""The stationary (undecimated) Haar wavelet transform, differentiable: DGSA is trained on its bands (METHOD.md 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def stationary_haar(x: Tensor, levels: int) -> list[Tensor]:
    """Bands of `levels` dyadic scales, finest first, then the remaining low-pass.

    x: (B, C, H, W) with H and W multiples of 2**levels; borders wrap around. Each of the first `levels` entries is
    (B, C, 3, H, W): low-high, high-low, high-high; the last is (B, C, H, W). The filters are orthonormal
    (`1/sqrt(2)`), as in PyWavelets' `swt2`.
    """
    bands = []
    low = x
    for level in range(levels):
        step = 2**level
        rows = _haar(low, -2, step)
        (low, vertical), (horizontal, diagonal) = (_haar(part, -1, step) for part in rows)
        bands.append(torch.stack([horizontal, vertical, diagonal], dim=2))
    return [*bands, low]


def _haar(x: Tensor, axis: int, step: int) -> tuple[Tensor, Tensor]:
    following = torch.roll(x, -step, dims=axis)
    return (x + following) / 2**0.5, (x - following) / 2**0.5


def wavelet_distance(image: Tensor, clean: Tensor, mask: Tensor, band_weights: tuple[float, ...]) -> Tensor:
    """Mean absolute difference of the bands, (B,): finest band first in `band_weights`, the low-pass last.

    image, clean: (B, 3, H, W); mask: (B, 1, H, W), 0 where there is no truth to compare with.
    A band's gain of 2 a level is taken out, so that equal weights weigh equal contrasts alike.
    """
    total = torch.zeros(len(image), device=image.device)
    area = mask.mean(dim=(1, 2, 3)).clamp(min=0.1)
    for level, (band, weight) in enumerate(
        zip(stationary_haar((image - clean) * mask, len(band_weights) - 1), band_weights, strict=True)
    ):
        gain = 2.0 ** min(level + 1, len(band_weights) - 1)
        total = total + weight / gain * F.l1_loss(band, torch.zeros_like(band), reduction="none").flatten(1).mean(1)
    return total / area
