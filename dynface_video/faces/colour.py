"""Luminance, and which crops have no colour: black-and-white film and prints that have faded to one tone."""

from __future__ import annotations

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GREY_STD = 0.013
"""Of 600 training faces of each kind, degraded at random, 93 % of the grey and toned ones lie below it and 1 % of the
coloured ones; none of 60 evaluation faces does. A coloured face that is taken for a toned print loses its colour, most
easily a dark one before a white wall; a toned print that is not recognised only keeps some of its colour noise."""
GRID = 16
"""Side of the grid on which colour is measured: chroma noise averages out on a coarse one."""
DARK = 0.25


def is_grey(crop: np.ndarray, *, maximum_std: float = GREY_STD, validity: np.ndarray | None = None) -> bool:
    """Whether a crop is black-and-white or tinted in one tone (sepia, a faded print).

    It is when the two colour differences follow from the luminance: the residual of a straight line through them has a
    small standard deviation, smaller in a dark crop, where all differences are small, also those of a coloured face.

    Args:
        crop: (R, R, 3) float32 RGB in [0, 1].
        maximum_std: of the residual in a crop that is not dark.
        validity: (R, R) in [0, 1] as `crop_validity` gives it; pixels outside of the picture do not count.
    """
    small = _reduced(crop)
    weight = _weights(None if validity is None else _reduced(validity), small)
    luminance, differences = _split(small)
    slope, offset = _tint(luminance, differences, weight)
    residual = differences - (luminance[..., None] * slope + offset)
    std = np.sqrt(np.average(residual**2, axis=(0, 1), weights=np.repeat(weight[..., None], 2, axis=2))).max()
    return bool(std <= maximum_std * min(1.0, float(np.average(luminance, weights=weight)) / DARK))


def _reduced(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) or (H, W, 3) on the grid."""
    return cv2.resize(picture, (GRID, GRID), interpolation=cv2.INTER_AREA)


def _weights(validity: np.ndarray | None, picture: np.ndarray) -> np.ndarray:
    if validity is None or not validity.any():
        return np.ones(picture.shape[:2], np.float32)
    return validity


def _split(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance (H, W) and the differences of red and blue from it, (H, W, 2)."""
    luminance = picture @ LUMINANCE
    return luminance, picture[..., [0, 2]] - luminance[..., None]


def _tint(luminance: np.ndarray, differences: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset, (2,) each, of the straight lines of the differences over the luminance."""
    total = max(float(weight.sum()), 1e-6)
    middle = float((weight * luminance).sum()) / total
    mean = (weight[..., None] * differences).sum(axis=(0, 1)) / total
    centred = weight * (luminance - middle)
    slope = (centred[..., None] * (differences - mean)).sum(axis=(0, 1))
    slope = slope / max(float((centred * (luminance - middle)).sum()), 1e-6)
    return slope, mean - slope * middle
