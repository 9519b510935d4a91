"""The U-Net of plain residual blocks that RM and the damage detector share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions without normalisation, which would hide the strength of the noise (EDSR)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.second(F.relu(self.first(x), inplace=True))


class ResidualUNet(nn.Module):
    """Levels of residual blocks, halved and doubled by convolutions; skips are added. Its initial output is nearly 0.

    Sides must be multiples of `2 ** (levels - 1)`.

    Args:
        inputs: Channels that it reads.
        outputs: Channels that it gives.
        channels: Of each level.
        blocks: Residual blocks of each level, on the way down and again on the way up.
    """

    def __init__(self, inputs: int, outputs: int, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        widths = tuple(channels)
        self.head = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(c, n) for c, n in zip(widths, blocks, strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(_blocks(c, n) for c, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], outputs, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def transform(self, x: Tensor, features: Tensor | float = 0.0) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W).

        Args:
            x: What it reads.
            features: Added behind the first layer, (B, C, H, W) with the channels of the first level.
        """
        x, skips = self.head(x) + features, []
        for encoder, down in zip(self.encoders, self.downs, strict=False):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.encoders[-1](x)
        for decoder, up, skip in zip(reversed(self.decoders), reversed(self.ups), reversed(skips), strict=True):
            x = decoder(up(x) + skip)
        tail: Tensor = self.tail(x)
        return tail


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))
