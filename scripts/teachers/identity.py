"""Distance of identity by dlib's face recognition network (Davis King, public domain)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teachers.weights import load_teacher

FILE = "dlib_face_recognition.safetensors"
MEAN = (122.782, 117.001, 104.298)
SIDE = 150
SQUARE = (84, 135, 349)
"""Left, top and side of what the network sees of an aligned crop of 512 pixels: the mean of dlib's own chips."""


class PlainBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class DownBlock(nn.Module):
    """Half the size; the shortcut is pooled, and what is missing of either branch is zero."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H // 2, W // 2)."""
        main, shortcut = self.conv2(F.relu(self.conv1(x))), F.avg_pool2d(x, 2)
        height, width = (a - b for a, b in zip(shortcut.shape[2:], main.shape[2:], strict=True))
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, main.shape[1] - shortcut.shape[1]))
        return F.relu(F.pad(main, (0, width, 0, height)) + shortcut)


class FaceRecognition(nn.Module):
    """`dlib_face_recognition_resnet_model_v1`: chips to embeddings whose Euclidean distance tells people apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = nn.Conv2d(3, 32, 7, stride=2)
        for name, width, count in (("32", 32, 3), ("64", 64, 3), ("128", 128, 2), ("256", 256, 2)):
            if name != "32":
                self.add_module(f"conv{name}_down", DownBlock(width // 2, width))
            for number in range(1, count + 1):
                self.add_module(f"conv{name}_{number}", PlainBlock(width))
        self.conv256_down_out = DownBlock(256, 256)
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """Chips (B, 3, 150, 150) RGB in [0, 255] to embeddings (B, 128); under 0.6 apart is the same person."""
        x = (chips - chips.new_tensor(MEAN)[:, None, None]) / 256
        x = F.max_pool2d(F.relu(self.conv32_down(x)), 3, stride=2)
        for name, block in self.named_children():
            if name not in ("conv32_down", "fc"):
                x = block(x)
        return self.fc(x.mean(dim=(2, 3)))


def load_identity(folder: Path) -> FaceRecognition:
    """The network of the identity distance; folder: of the teachers' weights. Raises ModelError without them."""
    return load_teacher(FaceRecognition(), folder / FILE)


def face_chips(crops: Tensor, square: tuple[float, float, float] = SQUARE) -> Tensor:
    """What the network sees of aligned crops.

    Args:
        crops: FFHQ-aligned crops (B, 3, R, R) in [-1, 1].
        square: Left, top and side of it in a crop of 512 pixels.

    Returns:
        Chips (B, 3, 150, 150) in [0, 255].
    """
    left, top, side = (round(value * crops.shape[-1] / 512) for value in square)
    seen = (crops[..., top : top + side, left : left + side].float() + 1) * 127.5
    return F.interpolate(seen, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


def shaken_square(generator: torch.Generator) -> tuple[float, float, float]:
    """The square a little moved and scaled, at random.

    A face that only the very same chip makes similar, by lines that nobody would draw, does not stay so under this.
    """
    left, top, side = SQUARE
    shift_x, shift_y, growth = (torch.rand(3, generator=generator, device=generator.device) * 2 - 1).tolist()
    grown = side * (1 + 0.07 * growth)
    corner = [v + (side - grown) / 2 + 0.05 * side * shift for v, shift in ((left, shift_x), (top, shift_y))]
    return corner[0], min(corner[1], 512 - grown), grown


def identity_distance(
    network: FaceRecognition,
    first: Tensor,
    second: Tensor,
    square: tuple[float, float, float] = SQUARE,
) -> Tensor:
    """Euclidean distance between the embeddings of aligned crops.

    Args:
        network: See `load_identity`.
        first: Crops (B, 3, R, R) in [-1, 1].
        second: Crops of the same shape; gradients flow to both.
        square: See `face_chips`.

    Returns:
        Distances (B,), at least 1e-4 so that the root can be differentiated.
    """
    difference = network(face_chips(first, square)) - network(face_chips(second, square))
    return torch.sqrt(difference.square().sum(dim=1) + 1e-8)
