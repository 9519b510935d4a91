"""The embedded identity network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.batch_norm import ResidualBlock, normalized_conv
from dynface_video.pretrained import PretrainedModel, configured


class IdentityNetwork(PretrainedModel):
    """A small residual network from an aligned face to a vector that is similar for pictures of one person.

    Args:
        size: side of the network's input in pixels.
        channels: of the stem and of each stage after it.
        dimensions: of the vector.
        same_person: cosine similarity of two tracks from which they count as one person.
        same_picture: the same of a single picture and a person.
    """

    @configured
    def __init__(
        self,
        size: int = 80,
        channels: Sequence[int] = (24, 48, 96, 192),
        dimensions: int = 128,
        same_person: float = 0.72,
        same_picture: float = 0.65,
    ) -> None:
        super().__init__()
        self.size, self.same_person, self.same_picture = size, same_person, same_picture
        self.stem = nn.Sequential(normalized_conv(3, channels[0], stride=2), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(
            *(
                nn.Sequential(normalized_conv(narrow, wide, stride=2), nn.ReLU(inplace=True), ResidualBlock(wide))
                for narrow, wide in pairwise(channels)
            )
        )
        cells = (size >> len(channels)) ** 2
        self.head = nn.Linear(cells * channels[-1], dimensions)

    def forward(self, crops: Tensor) -> Tensor:
        """Read crops (N, 3, S, S) in [-1, 1]; gives vectors (N, D) of length 1."""
        return F.normalize(self.head(self.stages(self.stem(crops)).flatten(1)), dim=1)
