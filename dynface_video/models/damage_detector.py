"""The damage detector: where a single crop is scratched, dusty or cracked, and what may lie underneath.

Damage lies on the film, above the picture: it is sharp where the face is blurred, of one colour, and runs across
whatever is there. That shows in one frame, so that lines that stay for seconds are found as well as specks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.models.residual_unet import ResidualUNet
from dynface_video.pretrained import PretrainedModel, configured


class DamageDetector(ResidualUNet, PretrainedModel):
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
        super().__init__(3 * unshuffle**2, 4 * unshuffle**2, channels, blocks)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [-1, 1] to logits of damage, (B, 1, R, R), and replacements (B, 3, R, R), unclipped."""
        x = self.transform(F.pixel_unshuffle(crops, self.config.unshuffle))
        out = F.pixel_shuffle(x, self.config.unshuffle).float()
        return out[:, :1], crops + out[:, 1:]

    @torch.no_grad()
    def find(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, R, R) in [0, 1] to probabilities, (B, 1, R, R), and replacements in [0, 1], (B, 3, R, R)."""
        logits, replaced = self(2 * crops - 1)
        return logits.sigmoid(), ((replaced + 1) / 2).clamp(0, 1)
