"""What a detected face is, and what finds faces in one picture.

Convention:
    Boxes and points are display coordinates: upright, square pixels, (x, y), pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from dynface_video.faces.landmarks import Landmarks


@dataclass(frozen=True)
class Detection:
    """One face of one picture.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1.
        landmarks: (5, 2) float32: image-left eye, image-right eye, nose, image-left and image-right mouth corner.
        landmark_std: (5,) float32 pixels, standard deviation of each point's coordinates.
        score: probability in [0, 1] that this is a face.
    """

    box: np.ndarray
    landmarks: np.ndarray
    landmark_std: np.ndarray
    score: float


class FaceDetector(Protocol):
    """Finds faces; it may be called by several threads at once."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB, no face twice."""
        ...


class FaceLocator(Protocol):
    """Finds the landmarks of faces whose place is roughly known; it may be called by several threads at once."""

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        """Locate faces in a picture (H, W, 3) uint8 RGB near boxes (N, 4) as `box_from_landmarks` makes them."""
        ...


def shrink_to(picture: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """A picture with no side above `longest` pixels, and by how much it was scaled (at most 1)."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1:
        return picture, 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale
