"""Vectors of faces by which people are told apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import torch

from dynface_video.faces.align import align_transform, compose
from dynface_video.faces.batch_norm import fuse_batch_norm
from dynface_video.faces.identity_network import IdentityNetwork
from dynface_video.pretrained import load_pretrained

if TYPE_CHECKING:
    from collections.abc import Sequence

REFERENCE = 512
SQUARE = (84, 135, 349)
"""Left, top and side of what the network sees of an aligned crop of `REFERENCE` pixels: brows to chin."""


class FaceIdentifier(Protocol):
    """Tells people apart by vectors of their faces."""

    @property
    def same_person(self) -> float:
        """Cosine similarity of the mean vectors of two tracks from which they count as one person."""
        ...

    @property
    def same_picture(self) -> float:
        """The same of a single picture and the mean vector of a person."""
        ...

    def embed(self, picture: np.ndarray, landmarks: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of the faces of a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            landmarks: (5, 2) of each of N faces.

        Returns:
            (N, D) float32 of length 1.
        """
        ...


@dataclass
class EmbeddedIdentifier:
    """The identity network that is part of the package.

    Attributes:
        network: in evaluation mode, its batch normalisation fused.
        device: of the network.
    """

    network: IdentityNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def from_pretrained(cls, folder: Path, device: torch.device | str = "cpu") -> EmbeddedIdentifier:
        """Load the network that `scripts/train.py identity` exported.

        Raises:
            ModelError: as `load_pretrained`.
        """
        return cls(fuse_batch_norm(load_pretrained(IdentityNetwork, folder, device)), torch.device(device))

    @property
    def same_person(self) -> float:
        """See `FaceIdentifier`."""
        return self.network.same_person

    @property
    def same_picture(self) -> float:
        """See `FaceIdentifier`."""
        return self.network.same_picture

    def embed(self, picture: np.ndarray, landmarks: Sequence[np.ndarray]) -> np.ndarray:
        """See `FaceIdentifier`."""
        size = self.network.size
        crops = [cut_identity_crop(picture, points, size) for points in landmarks]
        if not crops:
            return np.zeros((0, self.network.config.dimensions), np.float32)
        both = np.concatenate([np.stack(crops), np.stack(crops)[:, :, ::-1]])
        with torch.inference_mode():
            batch = torch.from_numpy(both).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            made = self.network(batch).cpu().numpy()
        mean = made[: len(crops)] + made[len(crops) :]
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)


def crop_transform(to_aligned: np.ndarray, size: int) -> np.ndarray:
    """From a picture to the square that the network sees.

    Args:
        to_aligned: (2, 3) from the picture to an aligned crop of `REFERENCE` pixels.
        size: side of the network's input in pixels.

    Returns:
        (2, 3), pixel centres at integers.
    """
    left, top, side = SQUARE
    scale = size / side
    shift = (0.5 - np.array([left, top])) * scale - 0.5
    return compose(np.column_stack([scale * np.eye(2), shift]), to_aligned)


def cut_identity_crop(picture: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """What the network sees of a face: (size, size, 3) uint8."""
    matrix = crop_transform(align_transform(landmarks, REFERENCE), size)
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.5:
        # Bilinear sampling of a picture that is much larger would alias.
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / shrink)
    return np.asarray(
        cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
