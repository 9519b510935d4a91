"""Perceptual distance by the features of EfficientNet-Lite0 (ImageNet-1k, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teachers.weights import load_teacher

FILE = "efficientnet_lite0.safetensors"
STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
          (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))  # fmt: skip
"""Expansion, kernel, stride of the first block, channels out and number of blocks of each stage."""
MEASURED_TAPS: Mapping[int, float] = {2: 1.0, 4: 1.0, 7: 1.0, 10: 1.0, 12: 1.0}
"""Blocks whose expanded maps make the distance that is reported, with their weights: all alike."""
SHARP_TAPS: Mapping[int, float] = {2: 0.5, 4: 0.5, 7: 1.0, 10: 1.25, 12: 1.25, 15: 1.0}
"""Weights for training: early blocks rate blur milder than noise of the same error, and would reward smoothness."""


class SamePadding(nn.Conv2d):
    """A convolution and TensorFlow's SAME padding, which puts the odd pixel after the picture."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        sides: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [total // 2, total - total // 2]
        return super().forward(F.pad(x, sides) if any(sides) else x)


class InvertedBottleneck(nn.Module):
    """An inverted bottleneck (MobileNetV2) whose normalisation is folded into its convolutions."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = SamePadding(inputs, width, 1) if expansion > 1 else None
        self.depth = SamePadding(width, width, kernel, stride, groups=width)
        self.project = SamePadding(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and its expanded map."""
        expanded = F.relu6(self.expand(x)) if self.expand is not None else x
        y = self.project(F.relu6(self.depth(expanded)))
        return (x + y if self.residual else y), expanded


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 for pictures (B, 3, H, W) RGB in [0, 255] of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SamePadding(3, 32, 3, 2)
        blocks, inputs = [], 32
        for expansion, kernel, stride, outputs, count in STAGES:
            for number in range(count):
                blocks.append(InvertedBottleneck(inputs, outputs, expansion, kernel, stride if number == 0 else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = SamePadding(inputs, 1280, 1)
        self.fc = nn.Linear(1280, 1000)

    def features(self, pictures: Tensor, taps: Collection[int]) -> dict[int, Tensor]:
        """The expanded maps of the blocks `taps`; blocks after the last of them are not run."""
        x, found = F.relu6(self.stem((pictures - 127) / 128)), {}
        for number, block in enumerate(self.blocks[: max(taps) + 1]):
            x, expanded = block(x)
            if number in taps:
                found[number] = expanded
        return found

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of the 1,000 classes, (B, 1000)."""
        x = F.relu6(self.stem((pictures - 127) / 128))
        for block in self.blocks:
            x, _ = block(x)
        return self.fc(F.relu6(self.head(x)).mean(dim=(2, 3)))


def load_perceptual(folder: Path) -> EfficientNetLite0:
    """The network of the perceptual distance; folder: of the teachers' weights. Raises ModelError without them."""
    return load_teacher(EfficientNetLite0(), folder / FILE)


def perceptual_distance(
    network: EfficientNetLite0, first: Tensor, second: Tensor, taps: Mapping[int, float] = MEASURED_TAPS
) -> Tensor:
    """Squared distance of features of unit length, the mean over positions and the weighted mean over taps.

    It is an uncalibrated LPIPS (Zhang et al. 2018) and hardly knows shifts of colour: keep a pixel loss beside it.

    Args:
        network: See `load_perceptual`.
        first: Pictures (B, 3, H, W) in [-1, 1].
        second: Pictures of the same shape; gradients flow to both.
        taps: Weights by number of block.

    Returns:
        Distances (B,), 0 for equal pictures.
    """
    ours, others = (network.features((x + 1) * 127.5, taps) for x in (first, second))
    total = first.new_zeros(len(first))
    for tap, weight in taps.items():
        difference = _unit(ours[tap]) - _unit(others[tap])
        total = total + weight * difference.square().sum(dim=1).mean(dim=(1, 2))
    return total / sum(taps.values())


def _unit(x: Tensor) -> Tensor:
    x = x.float()
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True) + 1e-8)
