"""Locating the landmarks of faces near given boxes, with their uncertainty and the probability of a face.

The network reads an upright square around the box; a second pass over a square turned and scaled by the first answer
takes out what was wrong with the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from dynface_video.faces.batch_norm import fuse_batch_norm
from dynface_video.faces.landmark_network import LandmarkNetwork
from dynface_video.faces.landmarks import Landmarks, Square, cut_square, face_square, square_from_box
from dynface_video.pretrained import load_pretrained


@dataclass
class LandmarkLocator:
    """Locates the landmarks of faces near given boxes.

    Attributes:
        network: in evaluation mode, its batch normalisation fused.
        device: of the network.
        passes: 2 cuts each face out again, turned and scaled by the first answer; 1 is half the work.
        batch_size: crops of one forward pass.
    """

    network: LandmarkNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    passes: int = 2
    batch_size: int = 32

    @classmethod
    def from_pretrained(cls, folder: Path, device: torch.device | str = "cpu", *, passes: int = 2) -> LandmarkLocator:
        """Load the network that `scripts/train.py landmarks` exported.

        Raises:
            ModelError: as `load_pretrained`.
        """
        return cls(fuse_batch_norm(load_pretrained(LandmarkNetwork, folder, device)), torch.device(device), passes)

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        """Locate the face near each box.

        Args:
            picture: (H, W, 3) uint8 RGB.
            boxes: (N, 4) x0, y0, x1, y1 around a face (forehead to chin), in pixels; they may be off by 15 % of their
                side, wrong in size by a third, and reach past the picture.
        """
        squares = [square_from_box(box) for box in np.asarray(boxes, np.float64).reshape(-1, 4)]
        found = self._read(picture, squares)
        for _ in range(self.passes - 1):
            squares = [
                _next_square(first, points)
                for first, points in zip(squares, found.points.astype(np.float64), strict=True)
            ]
            found = self._read(picture, squares)
        return found

    def _read(self, picture: np.ndarray, faces: Sequence[Square]) -> Landmarks:
        squares = [Square(f.centre, f.side * self.network.context, f.angle) for f in faces]
        parts = [
            self._forward(picture, squares[i : i + self.batch_size]) for i in range(0, len(squares), self.batch_size)
        ]
        if not parts:
            return Landmarks(np.zeros((0, 5, 2), np.float32), np.zeros((0, 5), np.float32), np.zeros(0, np.float32))
        return Landmarks(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _forward(self, picture: np.ndarray, squares: Sequence[Square]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        crops = np.stack([cut_square(picture, s, self.network.size) for s in squares])
        with torch.inference_mode():
            batch = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            points, log_std, logit = (t.cpu().numpy() for t in self.network(batch))
        half = np.array([s.side / 2 for s in squares], np.float32)
        placed = np.stack([s.to_picture(p.astype(np.float64)) for s, p in zip(squares, points, strict=True)])
        score = 1 / (1 + np.exp(-logit.astype(np.float64)))
        return placed.astype(np.float32), np.exp(log_std) * half[:, None], score.astype(np.float32)


def _next_square(first: Square, points: np.ndarray) -> Square:
    square = face_square(points)
    # Where there is no face the points mean nothing: the second pass must not wander off or shrink to a dot.
    side = float(np.clip(square.side, 0.5 * first.side, 2.0 * first.side))
    angle = float(np.clip(square.angle, -np.pi / 2, np.pi / 2))
    shift = square.centre - first.centre
    reach = 0.6 * first.side / max(float(np.linalg.norm(shift)), 1e-6)
    return Square(first.centre + shift * min(1.0, reach), side, angle)
