"""DBLM, dynamic blur-level mapping: from a degraded face to a known Gaussian blur (METHOD.md 2).

RM restores what can be restored; SE says down to which blur level RM is to be trusted. The guide `G_s(RM(y))` then has
a known degradation, whatever the real one was.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.blur.gaussian import dct2, gaussian_transfer
from dynface_video.blur.restoration import ResidualBlock
from dynface_video.models.folder import load_folder

LEVEL_OFFSET = 0.2
LARGEST_LEVEL = 6.0
TRUSTED_ERROR = 0.05


@dataclass(frozen=True)
class LevelEstimatorConfig:
    """Shape of the embedded SE; saved beside its weights."""

    resolution: int = 128
    unshuffle: int = 4
    channels: tuple[int, ...] = (48, 64, 96)


class BlurLevelEstimator(nn.Module):
    """SE: reads the degraded crop and RM's estimate of it; says the blur level and how sure it is.

    It works on `z = log(s + 0.2)`: errors count in proportion to the level, and level 0 stays finite.
    """

    def __init__(self, config: LevelEstimatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        layers: list[nn.Module] = [
            nn.Conv2d(6 * config.unshuffle**2, widths[0], 3, padding=1),
            ResidualBlock(widths[0]),
        ]
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.ReLU(), ResidualBlock(wide)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(2 * widths[-1], 128), nn.ReLU(), nn.Linear(128, 2))

    def forward(self, degraded: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [-1, 1] to the mean of z and the log of its standard deviation, (B,) each."""
        hidden = F.pixel_unshuffle(torch.cat([degraded, estimate], dim=1), self.config.unshuffle)
        features = self.features(hidden)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.std(dim=(2, 3))], dim=1)
        out = self.head(pooled).float()
        return out[:, 0], out[:, 1].clamp(-4, 2)


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
    return load_folder(folder, lambda c: BlurLevelEstimator(LevelEstimatorConfig(**c["network"])), device)
