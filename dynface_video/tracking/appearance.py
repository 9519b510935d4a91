"""A descriptor of a face of a few numbers: enough to tell neighbours apart, not to recognise a person."""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.faces.landmarks import Square, face_square

GRID = 8
SAMPLES = 3 * GRID
CHROMA_WEIGHT = 4.0


def appearance(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Describe a face.

    Lighting counts little in it, skin, hair, beard and glasses do.

    Args:
        picture: (H, W, 3) uint8 RGB.
        landmarks: (5, 2).

    Returns:
        (GRID * GRID + 3,) float32: brightness on an upright grid over the face, normalised by mean and contrast; two
        mean colour differences; and the mean brightness, which `difference` leaves out.
    """
    square = face_square(landmarks.astype(np.float64))
    transform = Square(square.centre, max(1.2 * square.side, 4.0), square.angle).transform(SAMPLES)
    fine = cv2.warpAffine(
        picture, transform, (SAMPLES, SAMPLES), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    coarse = cv2.resize(fine, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    brightness = coarse.mean(axis=2).ravel()
    centred = brightness - brightness.mean()
    colour = coarse.reshape(-1, 3).mean(axis=0)
    pattern = centred / max(float(np.linalg.norm(centred)), 0.1)
    return np.concatenate([pattern, colour[[0, 2]] - colour[1], brightness.mean(keepdims=True)])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """How different two appearances are: near 0 for the same face a moment later, around 1 for another face."""
    chroma = slice(-3, -1)
    pattern = 1 - float(a[:-3] @ b[:-3])
    return pattern + CHROMA_WEIGHT * float(np.linalg.norm(a[chroma] - b[chroma]))


def running_mean(mean: np.ndarray, value: np.ndarray, share: float = 0.15) -> np.ndarray:
    """Exponential moving average: the mean with a share of a new value."""
    return np.asarray((1 - share) * mean + share * value, np.float32)
