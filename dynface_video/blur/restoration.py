"""RM, the restoration model: the network whose low frequencies are to be trusted (METHOD.md 2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.models.folder import load_folder


@dataclass(frozen=True)
class RestorationConfig:
    """Shape of the embedded RM; saved beside its weights."""

    resolution: int = 128
    unshuffle: int = 2
    channels: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 2, 2, 3)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions without normalisation: how strong the noise is must stay visible to the network (EDSR)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.second(F.relu(self.first(x)))


class RestorationModel(nn.Module):
    """A U-Net of plain residual blocks that regresses the clean face as a residual of the degraded one.

    Fully convolutional: crops of any side that is a multiple of `unshuffle * 2 ** (levels - 1)` go through.
    """

    def __init__(self, config: RestorationConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.head = nn.Conv2d(3 * config.unshuffle**2, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(c, n) for c, n in zip(widths, config.blocks, strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(_blocks(c, n) for c, n in zip(widths[:-1], config.blocks[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], 3 * config.unshuffle**2, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, degraded: Tensor) -> Tensor:
        """Degraded crops (B, 3, R, R) in [-1, 1] to estimates of the same shape, not clipped."""
        x = self.head(F.pixel_unshuffle(degraded, self.config.unshuffle))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=False):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.encoders[-1](x)
        for decoder, up, skip in zip(reversed(self.decoders), reversed(self.ups), reversed(skips), strict=True):
            x = decoder(up(x) + skip)
        return degraded + F.pixel_shuffle(self.tail(x), self.config.unshuffle)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


def load_restoration_model(folder: Path, *, device: torch.device) -> RestorationModel:
    """Load the RM that `scripts/train.py restoration` exported to `folder`."""
    return load_folder(folder, lambda c: RestorationModel(RestorationConfig(**c["network"])), device)
