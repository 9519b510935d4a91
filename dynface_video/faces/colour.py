"""Colour of a restored face: light and skin tone follow the source, colour noise does not, and grey film stays grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GREY_STD = 0.018
DARK = 0.25
LIGHT_SCALE, SKIN_TONE_SCALE = 0.1, 0.2
"""Std, in sides of the crop, from which on luminance and chroma are the source's."""
NOISE_BAND = (0.008, 0.03)
"""Stds, in sides of the crop, of the Gaussians between which lies the chroma noise of codecs and tape."""
NOISE_WEIGHT = 2.0
"""Chroma detail weaker than so many times the noise is dropped; chosen, as the radius, on training faces."""
GUIDE_RADIUS, DETAIL_SCALE = 0.03, 0.02
"""In sides of the crop: of the windows in which chroma follows luminance, and in which its detail is measured."""
GUIDE_REGULARISATION = 2e-4
SMALLEST_WEIGHT = 1e-3


def is_grey(crop: np.ndarray, *, maximum_std: float = GREY_STD, validity: np.ndarray | None = None) -> bool:
    """Whether a crop is black-and-white or tinted in one tone (sepia, a faded print).

    It is when the two colour differences follow from the luminance: the residual of a straight line through them has a
    small standard deviation, smaller in a dark crop, where all differences are small, also those of a coloured face.

    Args:
        crop: (R, R, 3) float32 RGB in [0, 1].
        maximum_std: of the residual in a crop that is not dark.
        validity: (R, R) in [0, 1] as `crop_validity` gives it; pixels outside of the picture do not count.
    """
    small = cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA)
    weight = _weights(None if validity is None else cv2.resize(validity, (32, 32), interpolation=cv2.INTER_AREA), small)
    luminance, differences = _split(small)
    slope, offset = _tint(luminance, differences, weight)
    residual = differences - (luminance[..., None] * slope + offset)
    std = np.sqrt(np.average(residual**2, axis=(0, 1), weights=np.repeat(weight[..., None], 2, axis=2))).max()
    return bool(std <= maximum_std * min(1.0, float(np.average(luminance, weights=weight)) / DARK))


@dataclass(frozen=True, eq=False)
class ColourMatch:
    """How a restored face's colour follows its source's.

    Attributes:
        shift: (R, R, 3) float32, source minus restored face at the coarse scales that the source decides.
        tint: for a grey source the slope and offset, (2, 2), of its two colour differences over the luminance.
        chroma_noise: std of the source's chroma noise, in [0, 1].
    """

    shift: np.ndarray
    tint: np.ndarray | None
    chroma_noise: float = 0.0


def colour_match(
    restored: np.ndarray, crop: np.ndarray, *, grey: bool, validity: np.ndarray | None = None
) -> ColourMatch:
    """Measure how a restored face has to change to have its source's colour.

    The source knows what light fell where and the tone of the skin. Its chroma is finer than that too, but there codecs
    and tape leave blotches, so at finer scales the restored face's counts; where the two differ is the noise.

    Args:
        restored: (R, R, 3) float32 RGB in [0, 1].
        crop: its source, likewise.
        grey: whether the source has no colour; its tint then gives every brightness its colour, lips and eyes too.
        validity: (R, R) in [0, 1] as `crop_validity` gives it; pixels outside of the picture do not count.
    """
    size = crop.shape[0]
    weight = _weights(validity, crop)
    luminance, chroma = _split(crop - restored)
    light = _weighted_blur(luminance, weight, LIGHT_SCALE * size)
    tone = _weighted_blur(chroma, weight, SKIN_TONE_SCALE * size)
    fine, coarse = (_weighted_blur(chroma, weight, std * size) for std in NOISE_BAND)
    noise = np.average(((fine - coarse) ** 2).mean(axis=2), weights=weight)
    tint = np.stack(_tint(*_split(crop), weight)) if grey else None
    return ColourMatch(_join(light, tone).astype(np.float32), tint, float(np.sqrt(noise)))


def mean_match(matches: Sequence[ColourMatch]) -> ColourMatch:
    """The mean of the matches of neighbouring frames: what a single one owes to noise would let the border pulse."""
    tints = [match.tint for match in matches if match.tint is not None]
    return ColourMatch(
        np.mean([match.shift for match in matches], axis=0),
        np.mean(tints, axis=0) if tints else None,
        float(np.mean([match.chroma_noise for match in matches])),
    )


def with_colour(restored: np.ndarray, match: ColourMatch) -> np.ndarray:
    """The restored face in the colour of its source, without the source's chroma noise.

    Args:
        restored: (R, R, 3) float32 RGB in [0, 1].
        match: of this face, or the mean of its neighbours'.

    Returns:
        (R, R, 3) float32 RGB in [0, 1].
    """
    luminance, chroma = _split(restored + match.shift)
    if match.tint is not None:
        slope, offset = match.tint
        chroma = luminance[..., None] * slope + offset
    elif match.chroma_noise > 0:
        chroma = denoise_chroma(chroma, luminance, match.chroma_noise)
    return np.clip(_join(luminance, chroma), 0, 1).astype(np.float32)


def with_chroma_of(restored: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """The luminance of one face with the chroma of another, both (R, R, 3) RGB; values may leave [0, 1]."""
    return _join(_split(restored)[0], _split(estimate)[1]).astype(np.float32)


def denoise_chroma(chroma: np.ndarray, luminance: np.ndarray, noise: float) -> np.ndarray:
    """Keep of chroma what follows from luminance (guided filter, He et al. 2010) and what exceeds the noise.

    Args:
        chroma: (R, R, 2) float32.
        luminance: (R, R) float32, sharp where chroma is to have its edges.
        noise: std of the noise; detail beyond the guided filter's is weighted as Wiener's filter does.
    """
    size = len(luminance)
    guided = _guided_filter(chroma, luminance, max(1, round(GUIDE_RADIUS * size)))
    detail = chroma - guided
    energy = cv2.GaussianBlur((detail**2).mean(axis=2), (0, 0), DETAIL_SCALE * size, borderType=cv2.BORDER_REFLECT)
    gain = np.maximum(energy - (NOISE_WEIGHT * noise) ** 2, 0) / np.maximum(energy, 1e-12)
    return np.asarray(guided + gain[..., None] * detail)


def _guided_filter(picture: np.ndarray, guide: np.ndarray, radius: int) -> np.ndarray:
    """Local straight lines of a picture (R, R, C) over its guide (R, R), in windows of `2 * radius + 1` pixels."""

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT))

    guide_mean, picture_mean = mean(guide), mean(picture)
    variance = mean(guide * guide) - guide_mean * guide_mean
    covariance = mean(guide[..., None] * picture) - guide_mean[..., None] * picture_mean
    slope = covariance / (np.maximum(variance, 0) + GUIDE_REGULARISATION)[..., None]
    offset = picture_mean - slope * guide_mean[..., None]
    return mean(slope) * guide[..., None] + mean(offset)


def _weighted_blur(picture: np.ndarray, weight: np.ndarray, std: float) -> np.ndarray:
    """Gaussian means of the pixels that count, extended to those that do not: (R, R) or (R, R, C)."""

    def blur(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), std, borderType=cv2.BORDER_REFLECT))

    if (weight == 1).all():
        return blur(picture)
    spread = weight if picture.ndim == 2 else weight[..., None]
    mean = np.average(picture, axis=(0, 1), weights=np.broadcast_to(spread, picture.shape))
    # The overall mean stands in with next to no weight, so that far from every valid pixel nothing is divided by 0.
    total = blur(weight) + SMALLEST_WEIGHT
    return (blur(picture * spread) + SMALLEST_WEIGHT * mean) / (total if picture.ndim == 2 else total[..., None])


def _weights(validity: np.ndarray | None, picture: np.ndarray) -> np.ndarray:
    if validity is None or not validity.any():
        return np.ones(picture.shape[:2], np.float32)
    return validity


def _split(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance (H, W) and the differences of red and blue from it, (H, W, 2)."""
    luminance = picture @ LUMINANCE
    return luminance, picture[..., [0, 2]] - luminance[..., None]


def _join(luminance: np.ndarray, differences: np.ndarray) -> np.ndarray:
    red, blue = luminance + differences[..., 0], luminance + differences[..., 1]
    green = (luminance - LUMINANCE[0] * red - LUMINANCE[2] * blue) / LUMINANCE[1]
    return np.stack([red, green, blue], axis=2)


def _tint(luminance: np.ndarray, differences: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset, (2,) each, of the straight lines of the differences over the luminance."""
    total = max(float(weight.sum()), 1e-6)
    middle = float((weight * luminance).sum()) / total
    mean = (weight[..., None] * differences).sum(axis=(0, 1)) / total
    centred = weight * (luminance - middle)
    slope = (centred[..., None] * (differences - mean)).sum(axis=(0, 1))
    slope = slope / max(float((centred * (luminance - middle)).sum()), 1e-6)
    return slope, mean - slope * middle
