"""Storage to display: rotation, mirroring and sample aspect ratio, applied to show faces upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class DisplayGeometry:
    """How a stored picture is displayed: upright, with square pixels.

    Convention:
        Coordinates are (x, y) with pixel centres at integers; mirroring comes before rotation.

    Attributes:
        width: Of the display picture.
        height: As `width`.
        transform: (2, 3) float64, storage to display coordinates.
        rotation: 0, 90, 180 or 270 degrees clockwise.
        mirrored: Whether left and right are exchanged.
    """

    width: int
    height: int
    transform: np.ndarray
    rotation: int
    mirrored: bool

    @property
    def is_identity(self) -> bool:
        """Whether storage and display coordinates are equal."""
        return bool(np.array_equal(self.transform, np.eye(2, 3)))


def display_geometry(
    width: int, height: int, sample_aspect_ratio: Fraction, matrix: Sequence[int] | None
) -> DisplayGeometry:
    """Compute the display geometry of a stream.

    The shorter side of a pixel is enlarged, which loses no detail.

    Args:
        width: Of the stored picture.
        height: As `width`.
        sample_aspect_ratio: Width of a sample divided by its height.
        matrix: FFmpeg's display matrix, rounded to the nearest of the eight right-angled orientations; None for
            upright.
    """
    rotation, mirrored = orientation(matrix)
    wide = max(1, round(width * max(sample_aspect_ratio, Fraction(1))))
    high = max(1, round(height / min(sample_aspect_ratio, Fraction(1))))
    scale = np.array([[wide / width, 0, (wide / width - 1) / 2], [0, high / height, (high / height - 1) / 2]])
    turn = _turn(wide, high, rotation, mirrored)
    transform = np.column_stack([turn[:, :2] @ scale[:, :2], turn[:, :2] @ scale[:, 2] + turn[:, 2]])
    if rotation % 180:
        wide, high = high, wide
    return DisplayGeometry(wide, high, transform, rotation, mirrored)


def to_display(rgb: np.ndarray, geometry: DisplayGeometry) -> np.ndarray:
    """Convert a stored picture to its display form.

    Args:
        rgb: (H, W, C) in storage orientation.
        geometry: Of the stream.

    Returns:
        (geometry.height, geometry.width, C) of the same type; `rgb` itself if the geometry is the identity.
    """
    if geometry.is_identity:
        return rgb
    wide, high = geometry.width, geometry.height
    if geometry.rotation % 180:
        wide, high = high, wide
    if rgb.shape[:2] != (high, wide):
        rgb = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_LINEAR)
    if geometry.mirrored:
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(np.rot90(rgb, -geometry.rotation // 90))


def orientation(matrix: Sequence[int] | None) -> tuple[int, bool]:
    """Rotation (0, 90, 180 or 270 degrees clockwise) and, applied first, mirroring of FFmpeg's display matrix."""
    if matrix is None:
        return 0, False
    # FFmpeg's rows are (a b u), (c d v), (x y w), and x' = a x + c y, y' = b x + d y.
    linear = np.array([[matrix[0], matrix[3]], [matrix[1], matrix[4]]], np.float64)
    mirrored = bool(np.linalg.det(linear) < 0)
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    clockwise = np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))
    return round(float(clockwise) / 90) * 90 % 360, mirrored


def orientation_matrix(rotation: int, mirrored: bool) -> np.ndarray:
    """(2, 2) float64: directions (x, y) of the stored picture as directions of the display picture."""
    linear = {
        0: np.array([[1.0, 0.0], [0.0, 1.0]]),
        90: np.array([[0.0, -1.0], [1.0, 0.0]]),
        180: np.array([[-1.0, 0.0], [0.0, -1.0]]),
        270: np.array([[0.0, 1.0], [-1.0, 0.0]]),
    }[rotation]
    return linear @ np.diag([-1.0, 1.0]) if mirrored else linear


def _turn(wide: int, high: int, rotation: int, mirrored: bool) -> np.ndarray:
    """(2, 3): mirror and turn a picture of this size, the result's corner at the origin again."""
    linear = orientation_matrix(rotation, mirrored)
    corners = linear @ np.array([[0, wide - 1, 0, wide - 1], [0, 0, high - 1, high - 1]])
    return np.column_stack([linear, -corners.min(axis=1)])
