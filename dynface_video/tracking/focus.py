"""Blur of a face and of its surroundings: a face out of focus in a sharp shot was meant to be so."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dynface_video.faces.landmarks import Square, cut_square, face_square

FACE_PIXELS = 160
"""Side of the face at which blur is measured in large faces; small ones are not enlarged."""
REACH = 2.6
"""Side of the measured square, in sides of the face."""
INNER, OUTER = 0.5, 0.75
"""Radius of the face and of where its surroundings begin, in sides of the face."""
SECTORS = 6
"""Of the surroundings beside and above the face. Below it are its body, which is as blurred, and captions."""
FEWEST_SECTORS = 3
REBLUR = 1.5
"""Std in pixels of the second blur, by which the first is measured."""
SHARP_QUANTILE = 0.2
EDGE_SHARE = 0.12
"""Of the pixels of an area, those with the steepest gradients are its edges."""
LEAST_CONTRAST = 0.012
"""Gradient per pixel, in [0, 1], of a blurred edge; weaker ones are taken for noise."""
FEWEST_EDGES = 12


@dataclass(frozen=True)
class Focus:
    """Blur of a face and of what surrounds it: std of a Gaussian, shares of the face's side.

    Attributes:
        face: of its sharpest edges.
        surroundings: the median of the same over sectors around it; None if too few of them have edges.
    """

    face: float
    surroundings: float | None


def measure_focus(picture: np.ndarray, landmarks: np.ndarray) -> Focus | None:
    """Measure the blur of a face's edges and of those around it.

    An edge blurred by a Gaussian of std `s` and then by another of std `r` loses the share `1 - s / sqrt(s^2 + r^2)` of
    its gradient, whatever its contrast (Zhuo and Sim, Defocus map estimation from a single image, 2011).

    Args:
        picture: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) of the face.

    Returns:
        None if the face has no edge to measure.
    """
    face = face_square(np.asarray(landmarks, np.float64))
    scale = min(1.0, FACE_PIXELS / max(face.side, 1.0))
    size = max(1, round(REACH * face.side * scale))
    square = Square(face.centre, REACH * face.side, face.angle)
    luminance = cv2.cvtColor(cut_square(picture, square, size), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    steep, blur = _edge_blur(luminance)
    x = REACH * ((np.arange(size) + 0.5) / size - 0.5)
    radius, angle = np.hypot(x[None, :], x[:, None]), np.arctan2(-x[:, None], x[None, :])
    own = _sharpest(steep, blur, radius < INNER)
    if own is None:
        return None
    around = _around(steep, blur, np.where(radius > OUTER, angle, -1.0))
    unit = face.side * scale
    return Focus(own / unit, None if around is None else around / unit)


def _edge_blur(luminance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of the blurred picture, and the std of the blur that each pixel's gradient had before, both (H, W)."""
    # A pixel's own noise must not pass for an edge.
    once = cv2.GaussianBlur(luminance, (0, 0), 0.7)
    first, second = _gradient(once), _gradient(cv2.GaussianBlur(once, (0, 0), REBLUR))
    share = np.clip(second / np.maximum(first, 1e-6), 0.05, 0.98)
    variance = REBLUR**2 * share**2 / (1 - share**2) - 0.7**2
    return second, np.sqrt(np.maximum(variance, 0.2**2))


def _gradient(luminance: np.ndarray) -> np.ndarray:
    x, y = (cv2.Sobel(luminance, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.hypot(x, y)


def _sharpest(steep: np.ndarray, blur: np.ndarray, where: np.ndarray) -> float | None:
    """The blur of the sharpest edges of an area; where: (H, W) bool."""
    gradients = steep[where]
    if gradients.size == 0:
        return None
    edges = gradients >= max(float(np.quantile(gradients, 1 - EDGE_SHARE)), LEAST_CONTRAST)
    if np.count_nonzero(edges) < FEWEST_EDGES:
        return None
    return float(np.quantile(blur[where][edges], SHARP_QUANTILE))


def _around(steep: np.ndarray, blur: np.ndarray, angle: np.ndarray) -> float | None:
    """The median over sectors; angle: (H, W) radians in [0, pi] beside and above the face, negative elsewhere."""
    sector = np.floor(angle * SECTORS / np.pi)
    measured = [_sharpest(steep, blur, sector == number) for number in range(SECTORS)]
    known = [value for value in measured if value is not None]
    return float(np.median(known)) if len(known) >= FEWEST_SECTORS else None
