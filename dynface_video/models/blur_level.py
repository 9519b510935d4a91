"""DBLM, dynamic blur-level mapping: from a degraded face to a known Gaussian blur (docs/method.md 2).

RM restores what can be restored; SE estimates the blur level down to which RM can be trusted. The guide
`G_s(RM(y))` then has a known degradation, whatever the real one was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.diffusion.dct import dct2, gaussian_transfer
from dynface_video.diffusion.levels import level_in_pixels
from dynface_video.models.residual_unet import ResidualBlock
from dynface_video.pretrained import PretrainedModel, configured

LEVEL_OFFSET = 0.2 / 128
"""Added to relative levels before their logarithm: errors count in proportion above it, and level 0 stays finite."""
LARGEST_LEVEL = 6.0 / 128
"""Largest relative level; faces blurred more than that get it too."""
SMALLEST_GRID_LEVEL = 0.2 / 128
TRUSTED_ERROR = 0.05
"""Rms error of an estimate, on the scale of [-1, 1], up to which it is trusted."""


class BlurLevelEstimator(PretrainedModel):
    """SE: the blur level, and a confidence, from the evidence and RM's estimate of it. A `BlurEstimator`.

    Its inputs are the spectra of the evidence, of the estimate and of what RM removed, which show noise and blur
    directly, and the features of a small convolutional network. It works on `z = log(1 + s / s0)` of the relative
    level s, with s0 = `LEVEL_OFFSET`.

    Args:
        resolution: Side of the crops, pixels.
        unshuffle: Side of the block of pixels that becomes one position of the first layer.
        channels: Of each level of the convolutional network.
        bands: Rings of the spectrum.
        std_scale: Factor on the estimated std; fitted after training on held-out faces.
    """

    rings: Tensor

    @configured
    def __init__(
        self,
        resolution: int = 128,
        unshuffle: int = 4,
        channels: Sequence[int] = (48, 64, 96),
        bands: int = 20,
        std_scale: float = 1.0,
    ) -> None:
        super().__init__()
        widths = tuple(channels)
        layers: list[nn.Module] = [_convolution(6 * unshuffle**2, widths[0]), ResidualBlock(widths[0])]
        for narrow, wide in pairwise(widths):
            layers += [_convolution(narrow, wide, stride=2), nn.ReLU(), ResidualBlock(wide)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(2 * widths[-1] + 3 * bands, 128), nn.ReLU(), nn.Linear(128, 2))
        self.register_buffer("rings", spectrum_rings(resolution, bands), persistent=False)

    def forward(self, degraded: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [-1, 1] to the mean of z and the log of its std, (B,) each."""
        return self.read(degraded, estimate, self.spectra(degraded, estimate))

    def spectra(self, degraded: Tensor, estimate: Tensor) -> Tensor:
        """Log spectra of the crops, the estimates and their difference, (B, 3 bands); the same for mirrored crops."""
        return torch.cat([self._log_spectrum(x) for x in (degraded, estimate, degraded - estimate)], dim=1)

    def read(self, degraded: Tensor, estimate: Tensor, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, given what `spectra` made of the same crops: it has no weights, and need not be made again."""
        features = self.features(F.pixel_unshuffle(torch.cat([degraded, estimate], dim=1), self.config.unshuffle))
        pooled = [features.mean(dim=(2, 3)), features.std(dim=(2, 3))]
        out = self.head(torch.cat([*pooled, spectra], dim=1)).float()
        return out[:, 0], out[:, 1].clamp(-4, 2) + math.log(self.config.std_scale)

    def estimate_level(self, evidence: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """See `BlurEstimator.estimate_level`; the confidence is `1 / (1 + std of z)`."""
        mean, log_std = self(evidence, estimate)
        return level_from_z(mean), 1 / (1 + log_std.exp())

    def _log_spectrum(self, x: Tensor) -> Tensor:
        """log10 of the power in each ring, (B, bands), roughly in [-2, 2]."""
        power = dct2(x.float()).square().mean(dim=1).flatten(1)
        return torch.log10(power @ self.rings.T + 1e-6) + 2


def _convolution(narrow: int, wide: int, *, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(narrow, wide, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def spectrum_rings(size: int, count: int) -> Tensor:
    """Averages over rings of DCT-II coefficients, (count, size * size) float32; the rings widen with the frequency."""
    index = torch.arange(size, dtype=torch.float32)
    radius = torch.hypot(index[:, None], index[None, :]).flatten().clamp(max=size - 1)
    ring = (count * torch.log1p(radius / 4) / torch.log1p(torch.tensor((size - 1) / 4))).long().clamp(max=count - 1)
    weights = F.one_hot(ring, count).T.float()
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1)


def level_from_z(z: Tensor) -> Tensor:
    """Relative blur level, within [0, `LARGEST_LEVEL`]."""
    return (LEVEL_OFFSET * z.expm1()).clamp(0, LARGEST_LEVEL)


def z_from_level(level: Tensor) -> Tensor:
    """Inverse of `level_from_z`."""
    return torch.log1p(level / LEVEL_OFFSET)


def trusted_level(error: Tensor, *, tolerance: float = TRUSTED_ERROR) -> Tensor:
    """The label of SE: the smallest s with `rms(G_s (RM(y) - x)) <= tolerance`, on a fine grid.

    By Parseval the blurred error's rms is a sum over DCT coefficients, so that nothing needs to be blurred.

    Args:
        error: RM(y) - x, (B, 3, R, R) on the scale of [-1, 1].
        tolerance: eps, on the same scale.

    Returns:
        Relative levels, (B,), within [0, `LARGEST_LEVEL`].
    """
    power = dct2(error.float()).square().mean(dim=1)
    size = error.shape[-1]
    grid = level_grid().to(error.device)
    transfer = gaussian_transfer(level_in_pixels(grid, size), size)[:, 0].square().flatten(1)
    rms = (power.flatten(1) @ transfer.T / size**2).sqrt()
    reached = rms <= tolerance
    first = torch.where(reached.any(dim=1), reached.float().argmax(dim=1), len(grid) - 1)
    return grid[first].clamp(max=LARGEST_LEVEL)


def level_grid(count: int = 48) -> Tensor:
    """Relative levels at which an estimate is tried: 0, then `count` in even ratios up to `LARGEST_LEVEL`."""
    ratios = torch.linspace(math.log(SMALLEST_GRID_LEVEL), math.log(LARGEST_LEVEL), count)
    return torch.cat([torch.zeros(1), torch.exp(ratios)])
