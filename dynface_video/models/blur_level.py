"""DBLM, dynamic blur-level mapping: from a degraded face to a known Gaussian blur (METHOD.md 2).

RM restores what can be restored; SE says down to which blur level RM is to be trusted. The guide `G_s(RM(y))` then has
a known degradation, whatever the real one was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.diffusion.dct import dct2, gaussian_transfer
from dynface_video.models.folder import load_folder
from dynface_video.models.restoration import ResidualBlock

LEVEL_OFFSET = 0.2
LARGEST_LEVEL = 6.0
TRUSTED_ERROR = 0.05


@dataclass(frozen=True)
class LevelEstimatorConfig:
    """Shape of the embedded SE; saved beside its weights. bands: rings of the spectrum that it is told the power of."""

    resolution: int = 128
    unshuffle: int = 4
    channels: tuple[int, ...] = (48, 64, 96)
    bands: int = 20


class BlurLevelEstimator(nn.Module):
    """SE: reads the degraded crop and RM's estimate of it; says the blur level and how sure it is.

    It is told the spectra of the crop, of the estimate and of what RM took away, which show noise and blur plainly; a
    small convolutional network adds what only the picture shows. It works on `z = log(s + 0.2)`: errors count in
    proportion to the level, and level 0 stays finite.

    std_scale: what the stated deviation is multiplied by; found after training, on faces that took no part in it
    """

    rings: Tensor

    def __init__(self, config: LevelEstimatorConfig, std_scale: float = 1.0) -> None:
        super().__init__()
        self.config, self.std_scale = config, std_scale
        widths = config.channels
        layers: list[nn.Module] = [_convolution(6 * config.unshuffle**2, widths[0]), ResidualBlock(widths[0])]
        for narrow, wide in pairwise(widths):
            layers += [_convolution(narrow, wide, stride=2), nn.ReLU(), ResidualBlock(wide)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(2 * widths[-1] + 3 * config.bands, 128), nn.ReLU(), nn.Linear(128, 2))
        self.register_buffer("rings", spectrum_rings(config.resolution, config.bands), persistent=False)

    def forward(self, degraded: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [-1, 1] to the mean of z and the log of its standard deviation, (B,) each."""
        features = self.features(F.pixel_unshuffle(torch.cat([degraded, estimate], dim=1), self.config.unshuffle))
        pooled = [features.mean(dim=(2, 3)), features.std(dim=(2, 3))]
        spectra = [self._log_spectrum(x) for x in (degraded, estimate, degraded - estimate)]
        out = self.head(torch.cat([*pooled, *spectra], dim=1)).float()
        return out[:, 0], out[:, 1].clamp(-4, 2) + math.log(self.std_scale)

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
    """Blur level in pixels, within [0, `LARGEST_LEVEL`]."""
    return (z.exp() - LEVEL_OFFSET).clamp(0, LARGEST_LEVEL)


def z_from_level(level: Tensor) -> Tensor:
    """Inverse of `level_from_z`."""
    return torch.log(level + LEVEL_OFFSET)


def trusted_level(error: Tensor, *, tolerance: float = TRUSTED_ERROR) -> Tensor:
    """The label of SE: the smallest s with `rms(G_s (RM(y) - x)) <= tolerance`, on a fine grid.

    error: RM(y) - x, (B, 3, R, R) on the scale of [-1, 1]. Returns (B,) pixels in [0, `LARGEST_LEVEL`]. By Parseval the
    blurred error's rms is a sum over DCT coefficients; no picture is blurred.
    """
    power = dct2(error.float()).square().mean(dim=1)
    size = error.shape[-1]
    grid = torch.cat([torch.zeros(1), torch.exp(torch.linspace(-1.6, 1.8, 48))]).to(error.device)
    transfer = gaussian_transfer(grid, size)[:, 0].square().flatten(1)
    rms = (power.flatten(1) @ transfer.T / size**2).sqrt()
    reached = rms <= tolerance
    first = torch.where(reached.any(dim=1), reached.float().argmax(dim=1), len(grid) - 1)
    return grid[first].clamp(max=LARGEST_LEVEL)


def load_level_estimator(folder: Path, *, device: torch.device) -> BlurLevelEstimator:
    """Load the SE that `scripts/train.py blur_level` exported to `folder`."""

    def build(config: dict[str, Any]) -> BlurLevelEstimator:
        return BlurLevelEstimator(LevelEstimatorConfig(**config["network"]), config.get("std_scale", 1.0))

    return load_folder(folder, build, device)
