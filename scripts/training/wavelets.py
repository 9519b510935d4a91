"""The stationary (undecimated) Haar wavelet transform, differentiable: DGSA is trained on its bands (METHOD.md 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TEXTURE_WINDOW = 31
SEEN_CONTRAST = 0.005


def stationary_haar(x: Tensor, levels: int) -> list[Tensor]:
    """Bands of `levels` dyadic scales, finest first, then the remaining low-pass.

    x: (B, C, H, W) with H and W multiples of 2**levels; borders wrap around. Each of the first `levels` entries is
    (B, C, 3, H, W): horizontal, vertical and diagonal detail; the last is (B, C, H, W). The filters are orthonormal
    (`1/sqrt(2)`), as in PyWavelets' `swt2`.
    """
    bands = []
    low = x
    for level in range(levels):
        step = 2**level
        smooth, horizontal = _haar(low, -2, step)
        (low, vertical), (horizontal, diagonal) = _haar(smooth, -1, step), _haar(horizontal, -1, step)
        bands.append(torch.stack([horizontal, vertical, diagonal], dim=2))
    return [*bands, low]


def _haar(x: Tensor, axis: int, step: int) -> tuple[Tensor, Tensor]:
    following = torch.roll(x, -step, dims=axis)
    return (x + following) / 2**0.5, (x - following) / 2**0.5


def band_distance(image: Tensor, clean: Tensor, mask: Tensor, band_weights: tuple[float, ...]) -> Tensor:
    """Mean absolute difference of the bands, (B,): is each detail where it belongs?

    image, clean: (B, 3, H, W); mask: (B, 1, H, W), 0 where there is no truth to compare with; band_weights: finest band
    first, the low-pass last. A band's gain of 2 a level is taken out: equal weights weigh equal contrasts alike.
    """
    area = mask.mean(dim=(1, 2, 3)).clamp(min=0.1)
    bands = stationary_haar((image - clean) * mask, len(band_weights) - 1)
    means = [band.abs().flatten(1).mean(dim=1) for band in bands]
    return _weighted(means, band_weights) / area


def texture_distance(image: Tensor, clean: Tensor, mask: Tensor, levels: int) -> Tensor:
    """Mean absolute difference of the logarithms of the bands' local contrasts, (B,): is there as much detail?

    The contrast is the root mean square of a detail band of the luminance over `TEXTURE_WINDOW` pixels; below
    `SEEN_CONTRAST`, on the scale of [-1, 1], differences hardly count. Statistics are compared, not values: detail of
    the right amount in another place is no error here, as it is none in perceptual losses (DISTS, Ding et al. 2020).

    image, clean, mask: as those of `band_distance`; levels: how many bands, finest first
    """
    area = mask.mean(dim=(1, 2, 3)).clamp(min=0.1)
    contrasts = [_log_contrasts((x * mask).mean(dim=1, keepdim=True), levels) for x in (image, clean)]
    means = [((a - b).abs() * mask).flatten(1).mean(dim=1) for a, b in zip(*contrasts, strict=True)]
    return torch.stack(means).mean(dim=0) / area


def _log_contrasts(luminance: Tensor, levels: int) -> list[Tensor]:
    """Logarithm of the local contrast of each detail band, (B, 3, H, W) each."""
    half = TEXTURE_WINDOW // 2
    logs = []
    for level, band in enumerate(stationary_haar(luminance, levels)[:-1]):
        power = F.pad(band.flatten(1, 2).square(), (half,) * 4, "reflect")
        power = F.avg_pool2d(F.avg_pool2d(power, (TEXTURE_WINDOW, 1), 1), (1, TEXTURE_WINDOW), 1)
        logs.append(0.5 * torch.log(power / 4.0 ** (level + 1) + SEEN_CONTRAST**2))
    return logs


def _weighted(means: list[Tensor], band_weights: tuple[float, ...]) -> Tensor:
    gains = [2.0 ** min(level + 1, len(means)) for level in range(len(means))]
    return torch.stack([w / g * m for w, g, m in zip(band_weights, gains, means, strict=True)]).sum(dim=0)
