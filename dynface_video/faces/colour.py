"""Colour of a restored face: it follows the source, and a film without colour gets none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GREY_STD = 0.018
DARK = 0.25
FOLLOWED_SHARE = 0.1


def is_grey(crop: np.ndarray, *, largest_std: float = GREY_STD) -> bool:
    """Whether a crop is black-and-white or tinted in one tone (sepia, a faded print).

    crop: (R, R, 3) float32 RGB in [0, 1]. It is when the two colour differences follow from the luminance: what a
    straight line through them leaves has a standard deviation of at most `largest_std`, in proportion less in a
    dark crop: there all differences are small, also those of a coloured face.
    """
    small = cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA)
    luminance, differences = _split(small)
    slope, offset = _tint(luminance, differences)
    left = (differences - (luminance[..., None] * slope + offset)).std(axis=(0, 1)).max()
    return bool(left <= largest_std * min(1.0, float(luminance.mean()) / DARK))


@dataclass(frozen=True, eq=False)
class ColourMatch:
    """How a restored face's colour follows its source's.

    shift: (R, R, 3) float32, what is coarser than a tenth of the crop in source minus restored face
    tint:  for a source without colour the slope and offset, (2, 2), of its two colour differences over the luminance
    """

    shift: np.ndarray
    tint: np.ndarray | None


def colour_match(restored: np.ndarray, crop: np.ndarray, *, grey: bool) -> ColourMatch:
    """Measure it; restored, crop: (R, R, 3) float32 RGB in [0, 1].

    No restorer knows better than the source what light fell there. A grey source also gives its tint to every
    brightness, so that lips and eyes get no colour of their own.
    """
    std = FOLLOWED_SHARE * crop.shape[0]
    shift = cv2.GaussianBlur(crop - restored, (0, 0), std, borderType=cv2.BORDER_REFLECT)
    return ColourMatch(shift, np.stack(_tint(*_split(crop))) if grey else None)


def mean_match(matches: Sequence[ColourMatch]) -> ColourMatch:
    """The mean of the matches of neighbouring frames: what a single one owes to noise would let the rim pulse."""
    tints = [match.tint for match in matches if match.tint is not None]
    return ColourMatch(np.mean([match.shift for match in matches], axis=0), np.mean(tints, axis=0) if tints else None)


def with_colour(restored: np.ndarray, match: ColourMatch) -> np.ndarray:
    """The restored face, (R, R, 3) float32 RGB in [0, 1], in the colour of its source."""
    shifted = restored + match.shift
    if match.tint is not None:
        luminance = shifted @ LUMINANCE
        slope, offset = match.tint
        shifted = _join(luminance, luminance[..., None] * slope + offset)
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
