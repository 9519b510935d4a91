"""RM, the restoration model: the network whose low frequencies are to be trusted (METHOD.md 2).

It reads a crop, and where there are some the neighbouring crops of the same face, warped onto it: each carries noise
and compression of its own (METHOD.md 7.4).
"""

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
    """Shape of the embedded RM; saved beside its weights.

    fusion: channels of the network that weighs neighbouring crops; 0 has none, and neighbours are not taken
    """

    resolution: int = 128
    unshuffle: int = 2
    channels: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 2, 2, 3)
    fusion: int = 0


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


class WindowFusion(nn.Module):
    """Weighs the crops of a window pixel by pixel, and says in features what their mean does not.

    Each crop, the middle one too, is judged beside the middle one and the plain mean of all. As initialised all crops
    count the same and the features are zero. The number of neighbours is free.
    """

    def __init__(self, unshuffle: int, channels: int, features: int) -> None:
        super().__init__()
        self.unshuffle, self.features = unshuffle, features
        self.compare = nn.Conv2d(9 * unshuffle**2, channels, 3, padding=1)
        self.judge = nn.Conv2d(channels, features + unshuffle**2, 3, padding=1)
        nn.init.kaiming_normal_(self.compare.weight, nonlinearity="relu")
        nn.init.zeros_(self.judge.weight)
        nn.init.zeros_(self.judge.bias)  # type: ignore[arg-type]

    def forward(self, middle: Tensor, neighbours: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted mean (B, 3, R, R), and features (B, F, r, r) at the unshuffled size, zero without neighbours.

        middle: (B, 3, R, R); neighbours: (B, K, 3, R, R), warped onto it; valid: (B, K), 0 where there is none
        """
        window = torch.cat([middle[:, None], neighbours], dim=1)  # (B, K + 1, 3, R, R)
        counts = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)[..., None, None, None]
        mean = (counts * window).sum(dim=1, keepdim=True) / counts.sum(dim=1, keepdim=True)
        judged = torch.cat([middle[:, None].expand_as(window), mean.expand_as(window), window], dim=2)
        batch, size = window.shape[:2]
        seen = F.pixel_unshuffle(judged.flatten(0, 1), self.unshuffle)
        said = self.judge(F.relu(self.compare(seen)))
        weights = counts * F.pixel_shuffle(2 * said[:, self.features :].sigmoid(), self.unshuffle).unflatten(
            0, (batch, size)
        )
        fused = (weights * window).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-3)
        shares = counts[:, 1:] / counts.sum(dim=1, keepdim=True)
        features = (shares * said[:, : self.features].unflatten(0, (batch, size))[:, 1:]).sum(dim=1)
        return fused, features


class RestorationModel(nn.Module):
    """A U-Net of plain residual blocks that regresses the clean face as a residual of the degraded one.

    With neighbours it does so from their weighted mean; without them it is the network of a single crop. Fully
    convolutional: crops of any side that is a multiple of `unshuffle * 2 ** (levels - 1)` go through.
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
        self.fusion = WindowFusion(config.unshuffle, config.fusion, widths[0]) if config.fusion else None

    def forward(self, degraded: Tensor, neighbours: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """Degraded crops (B, 3, R, R) in [-1, 1] to estimates of the same shape, not clipped; arguments as `read`."""
        return self.read(degraded, neighbours, valid)[1]

    def read(
        self, degraded: Tensor, neighbours: Tensor | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the network starts from, the crops or the weighted means of their windows, and its estimates.

        degraded: (B, 3, R, R) in [-1, 1]; neighbours: (B, K, 3, R, R), other crops of each face, warped onto it;
        valid: (B, K), 0 where there is none. A network without fusion leaves them out. Returns (B, 3, R, R) twice.
        """
        features: Tensor | float = 0.0
        if self.fusion is not None and neighbours is not None and valid is not None and neighbours.shape[1] > 0:
            degraded, features = self.fusion(degraded, neighbours, valid)
        x = self.head(F.pixel_unshuffle(degraded, self.config.unshuffle)) + features
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=False):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.encoders[-1](x)
        for decoder, up, skip in zip(reversed(self.decoders), reversed(self.ups), reversed(skips), strict=True):
            x = decoder(up(x) + skip)
        return degraded, degraded + F.pixel_shuffle(self.tail(x), self.config.unshuffle)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


def load_restoration_model(folder: Path, *, device: torch.device) -> RestorationModel:
    """Load the RM that `scripts/train.py restoration` exported to `folder`."""
    return load_folder(folder, lambda c: RestorationModel(RestorationConfig(**c["network"])), device)
