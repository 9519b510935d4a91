"""The embedded landmark network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.batch_norm import ResidualBlock, normalized_conv
from dynface_video.pretrained import PretrainedModel, configured


class LandmarkNetwork(PretrainedModel):
    """A small residual trunk; points, their standard deviations and the face logit are read from its features.

    Args:
        size: side of the network's input in pixels.
        context: side of the square that is cut out, as a multiple of the side of the face box.
        channels: of the stem and of each stage after it.
        hidden: width of the regression head.
        heatmap: whether points are the centre of mass of a map each (soft argmax), or regressed directly.
    """

    channels_last = True

    @configured
    def __init__(
        self,
        size: int = 64,
        context: float = 1.3,
        channels: Sequence[int] = (16, 24, 48, 96),
        hidden: int = 128,
        heatmap: bool = True,
    ) -> None:
        super().__init__()
        self.size, self.context, self.heatmap = size, context, heatmap
        self.stem = nn.Sequential(normalized_conv(3, channels[0], stride=2), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(
            nn.Sequential(normalized_conv(narrow, wide, stride=2), nn.ReLU(inplace=True), ResidualBlock(wide))
            for narrow, wide in pairwise(channels)
        )
        cells = (size >> len(channels)) ** 2
        self.head = nn.Sequential(nn.Linear(cells * channels[-1], hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 16))
        if heatmap:
            self.lateral = nn.ModuleList(nn.Conv2d(wide, channels[1], 1) for wide in channels[1:])
            self.maps = nn.Sequential(
                normalized_conv(channels[1], channels[1]), nn.ReLU(inplace=True), nn.Conv2d(channels[1], 5, 1)
            )

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read crops (N, 3, S, S) in [-1, 1].

        Returns:
            Points (N, 5, 2), (x, y) in half sides of the crop from its centre; the logarithm of the standard deviation
            of their coordinates (N, 5), in the same unit; face logits (N,).
        """
        features, x = [], self.stem(crops)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        out = self.head(x.flatten(1))
        points = out[:, :10].unflatten(1, (5, 2))
        if self.heatmap:
            points = points * 0.1 + self._centres_of_mass(features)
        return points, out[:, 10:15].clamp(-6, 1), out[:, 15]

    def _centres_of_mass(self, features: Sequence[Tensor]) -> Tensor:
        merged = self.lateral[-1](features[-1])
        for lateral, feature in zip(reversed(self.lateral[:-1]), reversed(features[:-1]), strict=True):
            merged = F.interpolate(merged, scale_factor=2.0, mode="nearest") + lateral(feature)
        maps = self.maps(merged)
        side = maps.shape[-1]
        weights = maps.flatten(2).softmax(dim=2).unflatten(2, (side, side))  # (N, 5, side, side)
        # Cells reach past the crop's rim so that a centre of mass can lie on it.
        axis = torch.linspace(-1.15, 1.15, side, device=maps.device)
        return torch.stack([weights.sum(2) @ axis, weights.sum(3) @ axis], dim=-1)
