"""The damage detector: where a single crop is scratched, dusty or cracked, and what may lie underneath.

Damage lies on the film, above the picture: it is sharp where the face is blurred, of one colour, and runs across
whatever is there. That shows in one frame, so that lines that stay for seconds are found as well as specks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.models.restoration import ResidualBlock
from dynface_video.pretrained import PretrainedModel, configured


class DamageDetector(PretrainedModel):
    """A small U-Net that gives each pixel a probability of damage and a colour to replace it by.

    Fully convolutional: sides must be multiples of `unshuffle * 2 ** (levels - 1)`.

    Args:
        unshuffle: Side of the block of pixels that becomes one position of the first layer.
        channels: Of each level.
        blocks: Residual blocks of each level, on the way down and again on the way up.
    """

    channels_last = True

    @configured
    def __init__(
        self,
        unshuffle: int = 2,
        channels: Sequence[int] = (24, 48, 64, 64),
        blocks: Sequence[int] = (1, 1, 1, 2),
    ) -> None:
        super().__init__()
        widths = tuple(channels)
        self.head = nn.Conv2d(3 * unshuffle**2, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(c, n) for c, n in zip(widths, blocks, strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.decoders = nn.ModuleList(_blocks(c, n) for c, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], 4 * unshuffle**2, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [-1, 1] to logits of damage, (B, 1, R, R), and replacements (B, 3, R, R), unclipped."""
        x, skips = self.head(F.pixel_unshuffle(crops, self.config.unshuffle)), []
        for number, encoder in enumerate(self.encoders):
            x = encoder(x)
            if number < len(self.downs):
                skips.append(x)
                x = self.downs[number](x)
        for up, decoder, skip in zip(reversed(self.ups), reversed(self.decoders), reversed(skips), strict=True):
            x = decoder(up(x) + skip)
        out = F.pixel_shuffle(self.tail(x), self.config.unshuffle).float()
        return out[:, :1], crops + out[:, 1:]

    @torch.no_grad()
    def find(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [0, 1] to probabilities, (B, 1, R, R), and replacements in [0, 1], (B, 3, R, R)."""
        logits, replaced = self(2 * crops - 1)
        return logits.sigmoid(), ((replaced + 1) / 2).clamp(0, 1)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))
