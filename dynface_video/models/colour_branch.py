"""The colour of RM's face, corrected at half its resolution.

Codecs and tape keep no finer chroma, and their errors are as wide as a block: telling them from the face's own colours
takes a view of the whole face.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.faces.colour_transfer import join_chroma, split_chroma
from dynface_video.models.residual_unet import ResidualUNet

UNSHUFFLE = 2
INPUTS = 2 * (4 + 2)
"""Channels at half the resolution: four of luminance and two of chroma, of the crop and of RM's face."""
OUTPUTS = 2
"""Two of chroma."""


class ColourBranch(ResidualUNet):
    """Gives a face other chroma below half its resolution, and leaves its luminance and finer chroma as they are.

    The new chroma is the mean of the crop's and the face's, and what the network adds to it. Sides must be multiples of
    `4 * 2 ** (levels - 1)`.

    Args:
        channels: Of each level.
        blocks: Residual blocks of each level.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__(INPUTS * UNSHUFFLE**2, OUTPUTS * UNSHUFFLE**2, channels, blocks)

    def forward(self, crops: Tensor, faces: Tensor) -> Tensor:
        """The faces in their new colour.

        Args:
            crops: What RM has read, (B, 3, R, R) in [-1, 1].
            faces: Its faces, of the same shape.
        """
        parts = [_halved(picture) for picture in (crops, faces)]
        seen = torch.cat([part for luminance, chroma in parts for part in (luminance / 2, 2 * chroma)], dim=1)
        added = F.pixel_shuffle(self.transform(F.pixel_unshuffle(seen, UNSHUFFLE)), UNSHUFFLE) / 2
        (_, source_chroma), (_, face_chroma) = parts
        change = F.interpolate(
            (source_chroma - face_chroma) / 2 + added, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return faces + join_chroma(torch.zeros_like(change[:, :1]), change)


def _halved(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, (B, 4, R / 2, R / 2), and chroma, (B, 2, R / 2, R / 2), of pictures (B, 3, R, R)."""
    luminance, chroma = split_chroma(picture)
    return F.pixel_unshuffle(luminance, 2), F.avg_pool2d(chroma, 2)
