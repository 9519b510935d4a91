"""Pictures that are aligned face crops already: nothing is detected, the template gives the landmarks."""

from __future__ import annotations

import numpy as np

from dynface_video.errors import InputError
from dynface_video.faces.align import template
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks

LANDMARK_STD = 0.5
"""Pixels."""


class AlignedFaces:
    """A `FaceDetector` and `FaceLocator` for pictures that hold one face, aligned to the FFHQ template."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The picture's one face.

        Args:
            picture: (S, S, 3) uint8 RGB.

        Raises:
            InputError: the picture is not square.
        """
        points = _points(picture)
        return [Detection(box_from_landmarks(points), points, np.full(5, LANDMARK_STD, np.float32), 1.0)]

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        """The same face for each of the boxes (N, 4); raises as `detect`."""
        count = len(boxes)
        points = np.repeat(_points(picture)[None], count, axis=0)
        return Landmarks(points, np.full((count, 5), LANDMARK_STD, np.float32), np.ones(count, np.float32))


def _points(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    if height != width:
        raise InputError(f"an aligned face crop is square, this picture is {width}x{height}: leave out --aligned")
    return template(width).astype(np.float32)
