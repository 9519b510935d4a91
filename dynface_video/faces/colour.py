"""Colour of a restored face: it follows the source, and a film without colour gets none."""

from __future__ import annotations

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GREY_DEVIATION = 0.018
DARK = 0.25
FOLLOWED_SHARE = 0.1


def is_grey(crop: np.ndarray, *, largest_deviation: float = GREY_DEVIATION) -> bool:
    """Whether a crop is black-and-white or tinted in one tone (sepia, a faded print).

    crop: (R, R, 3) float32 RGB in [0, 1]. It is when the two colour differences follow from the luminance: what a
    straight line through them leaves has a standard deviation of at most `largest_deviation`, in proportion less in a
    dark crop: there all differences are small, also those of a coloured face.
    """
    small = cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA)
    luminance, differences = _split(small)
    slope, offset = _tint(luminance, differences)
    left = (differences - (luminance[..., None] * slope + offset)).std(axis=(0, 1)).max()
    return bool(left <= largest_deviation * min(1.0, float(luminance.mean()) / DARK))


def follow_source_colour(restored: np.ndarray, crop: np.ndarray, *, grey: bool) -> np.ndarray:
    """Give a restored face the coarse colour of its source.

    restored, crop: (R, R, 3) float32 RGB in [0, 1]; returns the same. What is coarser than a tenth of the crop is taken
    from the source: no restorer knows better what light fell there. A grey source also gives its tint to every
    brightness, so that lips and eyes get no colour of their own.
    """
    deviation = FOLLOWED_SHARE * crop.shape[0]
    shifted = restored + cv2.GaussianBlur(crop - restored, (0, 0), deviation, borderType=cv2.BORDER_REFLECT)
    if grey:
        luminance = shifted @ LUMINANCE
        slope, offset = _tint(*_split(crop))
        differences = luminance[..., None] * slope + offset
        shifted = _join(luminance, differences)
    return np.clip(shifted, 0, 1).astype(np.float32)


def _split(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance (H, W) and the differences of red and blue from it, (H, W, 2)."""
    luminance = picture @ LUMINANCE
    return luminance, picture[..., [0, 2]] - luminance[..., None]


def _join(luminance: np.ndarray, differences: np.ndarray) -> np.ndarray:
    red, blue = luminance + differences[..., 0], luminance + differences[..., 1]
    green = (luminance - LUMINANCE[0] * red - LUMINANCE[2] * blue) / LUMINANCE[1]
    return np.stack([red, green, blue], axis=2)


def _tint(luminance: np.ndarray, differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset, (2,) each, of the straight lines of the differences over the luminance."""
    centred = luminance - luminance.mean()
    mean = differences.mean(axis=(0, 1))
    slope = (centred[..., None] * (differences - mean)).sum(axis=(0, 1)) / max(float((centred**2).sum()), 1e-6)
    return slope, mean - slope * luminance.mean()
