"""Five landmarks of a face near a box, how sure each is, and whether there is a face at all.

A box comes from a cascade, a detector, or the landmarks of the last frame. The network reads an upright square around
it; a second look at a square turned and scaled by the first answer takes out what was wrong with the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.models.folder import load_folder
from dynface_video.models.fuse import fuse_batch_norm

SIDE_BY_SPREAD = 4.04
"""Side of a detector's face box (root of its area) by the landmarks' root mean square distance from their mean."""
RISE = 0.08
"""How far the box's centre lies above the landmarks' mean, as a share of its side."""
LARGEST_OVERSAMPLING = 12


@dataclass(frozen=True)
class LandmarkConfig:
    """Shape of the embedded landmark network; saved beside its weights.

    size:    side of the network's input in pixels
    context: side of the square that is cut out, as a multiple of the side of the face box
    heatmap: points as the centre of mass of a map each (soft argmax), or regressed directly
    """

    size: int = 64
    context: float = 1.3
    channels: tuple[int, ...] = (16, 24, 48, 96)
    hidden: int = 128
    heatmap: bool = True


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, channels), nn.ReLU(inplace=True), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x), inplace=True)


def _conv(narrow: int, wide: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(narrow, wide, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(wide))


class LandmarkNetwork(nn.Module):
    """A small residual trunk; points, deviations and the face logit are read from its features."""

    def __init__(self, config: LandmarkConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.stem = nn.Sequential(_conv(3, widths[0], stride=2), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(
            nn.Sequential(_conv(narrow, wide, stride=2), nn.ReLU(inplace=True), _Residual(wide))
            for narrow, wide in pairwise(widths)
        )
        cells = (config.size >> len(widths)) ** 2
        self.head = nn.Sequential(
            nn.Linear(cells * widths[-1], config.hidden), nn.ReLU(inplace=True), nn.Linear(config.hidden, 16)
        )
        if config.heatmap:
            self.lateral = nn.ModuleList(nn.Conv2d(wide, widths[1], 1) for wide in widths[1:])
            self.maps = nn.Sequential(_conv(widths[1], widths[1]), nn.ReLU(inplace=True), nn.Conv2d(widths[1], 5, 1))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, 3, S, S) in [-1, 1] to points (N, 5, 2), log deviations (N, 5) and face logits (N,).

        Points are (x, y) in half sides of the crop from its centre; deviations (of each coordinate) in the same unit.
        """
        features, x = [], self.stem(crops)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        out = self.head(x.flatten(1))
        points = out[:, :10].unflatten(1, (5, 2))
        if self.config.heatmap:
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


@dataclass(frozen=True)
class Landmarks:
    """What was found near N boxes, in pixels of the picture.

    points:    (N, 5, 2) float32: image-left eye, image-right eye, nose, image-left and image-right mouth corner
    deviation: (N, 5) float32, standard deviation of each coordinate of a point
    score:     (N,) float32 in [0, 1], how likely there is a face
    """

    points: np.ndarray
    deviation: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class Square:
    """A turned square of a picture: centre (x, y) and side in pixels, the angle of its x axis in radians."""

    centre: np.ndarray
    side: float
    angle: float = 0.0

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) in half sides from the centre to pixels of the picture."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = points @ np.array([[c, s], [-s, c]])
        return self.centre + turned * (self.side / 2)

    def from_picture(self, points: np.ndarray) -> np.ndarray:
        """Inverse of `to_picture`."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return ((points - self.centre) / (self.side / 2)) @ np.array([[c, -s], [s, c]])

    def transform(self, size: int) -> np.ndarray:
        """Picture to a crop of `size` pixels a side, (2, 3) float64, pixel centres at integers."""
        c, s = np.cos(self.angle) * size / self.side, np.sin(self.angle) * size / self.side
        linear = np.array([[c, s], [-s, c]])
        return np.column_stack([linear, (size - 1) / 2 - linear @ self.centre])


def cut_square(picture: np.ndarray, square: Square, size: int, *, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """The square as (size, size, C) of the picture's kind; areas are averaged where the crop is smaller."""
    finer = int(np.clip(round(square.side / size), 1, LARGEST_OVERSAMPLING))
    big = cv2.warpAffine(
        picture,
        square.transform(size * finer),
        (size * finer, size * finer),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
    )
    return big if finer == 1 else cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA)


def face_square(points: np.ndarray) -> Square:
    """The upright-in-the-face square, of a face box's size, that belongs to five landmarks (5, 2)."""
    mean = points.mean(axis=0)
    side = SIDE_BY_SPREAD * float(np.sqrt(((points - mean) ** 2).sum(axis=1).mean()))
    down = _downwards(points)
    return Square(mean - RISE * side * down, side, float(np.arctan2(-down[0], down[1])))


def _downwards(points: np.ndarray) -> np.ndarray:
    # From the eyes to the mouth, and square to the line of the eyes: together they stand a turned head.
    eyes, mouth = points[1] - points[0], points[3] + points[4] - points[0] - points[1]
    down = mouth / 2 + np.array([-eyes[1], eyes[0]])
    length = float(np.linalg.norm(down))
    return down / length if length > 1e-6 else np.array([0.0, 1.0])


def box_from_landmarks(points: np.ndarray) -> np.ndarray:
    """The upright square box (x0, y0, x1, y1), float32 (4,), around the face with these landmarks (5, 2).

    Its area is that of a detector's box; it is what `LandmarkLocator.locate` was trained to be given.
    """
    square = face_square(np.asarray(points, np.float64))
    return np.concatenate([square.centre - square.side / 2, square.centre + square.side / 2]).astype(np.float32)


def square_from_box(box: np.ndarray) -> Square:
    """The upright square with the box's centre and area."""
    x0, y0, x1, y1 = (float(v) for v in box)
    return Square(np.array([x0 + x1, y0 + y1]) / 2, float(np.sqrt(max(x1 - x0, 1.0) * max(y1 - y0, 1.0))))


@dataclass
class LandmarkLocator:
    """Finds the landmarks of faces near given boxes.

    looks: 2 cuts each face out again, turned and scaled by the first answer; 1 is half the work.
    """

    network: LandmarkNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    looks: int = 2
    batch_size: int = 32

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device | str = "cpu", *, looks: int = 2) -> LandmarkLocator:
        """Load the network that `scripts/train.py landmarks` exported; raises ModelError as `load_folder` does."""
        network = load_folder(folder, lambda c: LandmarkNetwork(config_from_dict(c["network"])), device)
        return cls(fuse_batch_norm(network), torch.device(device), looks)

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        """Look near each box.

        picture: (H, W, 3) uint8 RGB; boxes: (N, 4) x0, y0, x1, y1 around a face (forehead to chin), in pixels; they may
        be off by 15 % of their side, wrong in size by a third, and reach past the picture.
        """
        squares = [square_from_box(box) for box in np.asarray(boxes, np.float64).reshape(-1, 4)]
        found = self._look(picture, squares)
        for _ in range(self.looks - 1):
            squares = [
                _next_square(first, points)
                for first, points in zip(squares, found.points.astype(np.float64), strict=True)
            ]
            found = self._look(picture, squares)
        return found

    def _look(self, picture: np.ndarray, faces: Sequence[Square]) -> Landmarks:
        squares = [Square(f.centre, f.side * self.network.config.context, f.angle) for f in faces]
        parts = [
            self._forward(picture, squares[i : i + self.batch_size]) for i in range(0, len(squares), self.batch_size)
        ]
        if not parts:
            return Landmarks(np.zeros((0, 5, 2), np.float32), np.zeros((0, 5), np.float32), np.zeros(0, np.float32))
        return Landmarks(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _forward(self, picture: np.ndarray, squares: Sequence[Square]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        crops = np.stack([cut_square(picture, s, self.network.config.size) for s in squares])
        with torch.inference_mode():
            batch = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            points, log_deviation, logit = (t.cpu().numpy() for t in self.network(batch))
        half = np.array([s.side / 2 for s in squares], np.float32)
        placed = np.stack([s.to_picture(p.astype(np.float64)) for s, p in zip(squares, points, strict=True)])
        score = 1 / (1 + np.exp(-logit.astype(np.float64)))
        return placed.astype(np.float32), np.exp(log_deviation) * half[:, None], score.astype(np.float32)


def _next_square(first: Square, points: np.ndarray) -> Square:
    square = face_square(points)
    # Where there is no face the points mean nothing: the second look must not wander off or shrink to a dot.
    side = float(np.clip(square.side, 0.5 * first.side, 2.0 * first.side))
    angle = float(np.clip(square.angle, -np.pi / 2, np.pi / 2))
    shift = square.centre - first.centre
    reach = 0.6 * first.side / max(float(np.linalg.norm(shift)), 1e-6)
    return Square(first.centre + shift * min(1.0, reach), side, angle)


def config_from_dict(values: dict[str, object]) -> LandmarkConfig:
    """Rebuild the configuration from JSON, where tuples became lists."""
    return LandmarkConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})  # type: ignore[arg-type]
