"""Grain for restored faces, like that of their surroundings, so that they do not look pasted.

Restoration removes a face's grain with its damage. Grain is measured in the source, by brightness and coarseness, and
what the restored face lacks is synthesised.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dynface_video.faces.colour import LUMINANCE

SECOND_DIFFERENCES = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32) / 6
"""Immerkaer's operator: blind to slopes and to straight upright and level edges; 1 for white noise of std 1."""
STRUCTURE = 1.5
FLAT_SHARE = 0.4
LEVELS = np.array([0.2, 0.5, 0.8], np.float32)
FEWEST_PIXELS = 200
BLURS = (0.0, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15)
GRAIN_STREAM = 0x6772


@dataclass(frozen=True, eq=False)
class Grain:
    """Noise of a picture's luminance.

    Attributes:
        stds: (3,) of its finest part (`SECOND_DIFFERENCES`) at the brightnesses `LEVELS`.
        coarseness: ratio of its second differences over two pixels and over one: 1 for white noise, more for coarser.
    """

    stds: np.ndarray
    coarseness: float

    def at(self, luminance: np.ndarray) -> np.ndarray:
        """The std at each pixel, of the shape of `luminance`."""
        return np.interp(luminance, LEVELS, self.stds).astype(np.float32)


def measure_grain(luminance: np.ndarray, where: np.ndarray) -> Grain:
    """Measure the noise of a picture in its flat parts.

    Args:
        luminance: (H, W) float32 in [0, 1].
        where: (H, W) bool, the pixels that count.
    """
    residual = _differences(luminance, 1)
    flat = _flat(luminance, where)
    if np.count_nonzero(flat) < FEWEST_PIXELS:
        return Grain(np.zeros(len(LEVELS), np.float32), 1.0)
    overall = _robust_std(residual[flat])
    stds = []
    for level in LEVELS:
        near = flat & (np.abs(luminance - level) < 0.5 * (LEVELS[1] - LEVELS[0]))
        stds.append(_robust_std(residual[near]) if np.count_nonzero(near) >= FEWEST_PIXELS else overall)
    coarse = _robust_std(_differences(luminance, 2)[flat])
    return Grain(np.array(stds, np.float32), coarse / max(overall, 1e-6))


def add_grain(
    pasted: np.ndarray, region: np.ndarray, weight: np.ndarray, *, amount: float, key: tuple[int, int, int]
) -> np.ndarray:
    """Give a pasted face the grain of the region that it came from.

    Args:
        pasted: (h, w, 3) float32 RGB, nominally in [0, 1], with the restored face.
        region: the same before pasting.
        weight: (h, w) in [0, 1], how much of the face shows; nothing changes where it is 0.
        amount: 1 for as much grain as is missing, 0 for no change.
        key: seed, face and frame, which alone determine the pattern.

    Returns:
        As `pasted`; only luminance changes.
    """
    everywhere = np.ones(weight.shape, bool)
    wanted = measure_grain(region @ LUMINANCE, everywhere)
    luminance = pasted @ LUMINANCE
    present = measure_grain(luminance, weight > 0.5)
    missing = np.sqrt(np.maximum(wanted.stds**2 - present.stds**2, 0))
    if amount <= 0 or not missing.any():
        return pasted
    pattern = _pattern(weight.shape, wanted.coarseness, key)
    noise = amount * weight * Grain(missing, 1.0).at(luminance) * pattern
    return np.clip(pasted + noise[..., None], np.minimum(pasted, 0), np.maximum(pasted, 1))


def _pattern(shape: tuple[int, ...], coarseness: float, key: tuple[int, int, int]) -> np.ndarray:
    """Noise whose finest part has std 1, of the nearest coarseness."""
    white = np.random.default_rng([*key, GRAIN_STREAM]).standard_normal(shape).astype(np.float32)
    best, finest, distance = white, 1.0, np.inf
    for std in BLURS:
        made = np.asarray(cv2.GaussianBlur(white, (0, 0), std), np.float32) if std else white
        fine, coarse = (float(_differences(made, step).std()) for step in (1, 2))
        off = abs(np.log(max(coarse / fine, 1e-6) / max(coarseness, 1e-6)))
        if off < distance:
            best, finest, distance = made, fine, off
    return best / finest


def _differences(luminance: np.ndarray, step: int) -> np.ndarray:
    """Second differences both ways over `step` pixels."""
    kernel = np.zeros((2 * step + 1, 2 * step + 1), np.float32)
    kernel[::step, ::step] = SECOND_DIFFERENCES
    return cv2.filter2D(luminance, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)


def _flat(luminance: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The pixels with the least structure around them."""
    smooth = cv2.GaussianBlur(luminance, (0, 0), STRUCTURE, borderType=cv2.BORDER_REFLECT)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    slope = cv2.GaussianBlur(slope, (0, 0), 2 * STRUCTURE)
    # Clipped pixels have lost their noise.
    usable = where & (luminance > 0.02) & (luminance < 0.98)
    return usable & (slope <= np.quantile(slope[usable], FLAT_SHARE)) if usable.any() else usable


def _robust_std(values: np.ndarray) -> float:
    # Robust against a few edges among the flat pixels.
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
