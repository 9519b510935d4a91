"""Five landmarks of a face, and the square and box of the picture that belong to them.

Convention:
    Pixel centres are integers, points are (x, y) in pixels of the picture; left and right are the image's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIDE_BY_SPREAD = 4.04
"""Side of a detector's face box (root of its area) by the landmarks' root mean square distance from their mean."""
RISE = 0.08
"""How far the box's centre lies above the landmarks' mean, as a share of its side."""
LARGEST_OVERSAMPLING = 12


@dataclass(frozen=True)
class Landmarks:
    """What was found near N boxes.

    Attributes:
        points: (N, 5, 2) float32 pixels: image-left eye, image-right eye, nose, image-left and image-right corner of
            the mouth.
        std: (N, 5) float32 pixels, standard deviation of each coordinate of a point.
        score: (N,) float32 in [0, 1], the probability of a face.
    """

    points: np.ndarray
    std: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class Square:
    """A rotated square of a picture: centre (x, y) and side in pixels, the angle of its x axis in radians."""

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
    """The square as (size, size, C) of the picture's dtype, area-averaged where the crop is coarser.

    border: one of OpenCV's border types, for what lies outside of the picture.
    """
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
    """The square of a face box's size that is upright in the face with these landmarks (5, 2)."""
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
