"""Blur levels and starting steps over time: one track inside one shot (docs/method.md 6).

A level that wavers makes the prior invent more here and less there, which is seen as flicker. Levels are cleaned of
outliers, then smoothed without lag; the starting step follows them with hysteresis, so that neighbouring frames share a
schedule.
"""

from __future__ import annotations

import numpy as np
import scipy

from dynface_video.models.blur_level import LEVEL_OFFSET

HAMPEL_RADIUS = 3
HAMPEL_THRESHOLD = 3.0
SMALLEST_STD = 0.05
MAD_TO_STD = 1.4826


def hampel(values: np.ndarray, *, radius: int = HAMPEL_RADIUS, threshold: float = HAMPEL_THRESHOLD) -> np.ndarray:
    """Whether each of (N,) values is an outlier among its neighbours, (N,) bool (Hampel's identifier).

    A value is one when it lies further from the median of the `radius` values on either side than `threshold` times
    their std, estimated from the median absolute deviation and at least `SMALLEST_STD`.
    """
    outlier = np.zeros(len(values), bool)
    for i in range(len(values)):
        window = values[max(0, i - radius) : i + radius + 1]
        median = np.median(window)
        std = max(MAD_TO_STD * float(np.median(np.abs(window - median))), SMALLEST_STD)
        outlier[i] = abs(values[i] - median) > threshold * std
    return outlier


def smooth_levels(
    positions: np.ndarray, levels: np.ndarray, confidences: np.ndarray, length: int, *, std: float
) -> np.ndarray:
    """A blur level for every frame of a track from the levels read off some of them.

    positions:   (N,) frames of the track, rising, within [0, length), at which a level was read; at least one
    levels:      (N,) relative; confidences: (N,) positive weights
    std:         of the smoothing Gaussian, frames; 0 takes the readings as they are and interpolates
    Returns (length,) float64 relative levels. Smoothing is zero-phase (a symmetric kernel, normalised by the weights it
    meets) and works on `log(s + s0)` (`LEVEL_OFFSET`), in which the estimator's errors are even.
    """
    if len(positions) == 0:
        raise ValueError("a track without any level read off it cannot be smoothed")
    z = np.log(np.asarray(levels, np.float64) + LEVEL_OFFSET)
    kept = ~hampel(z) if std > 0 else np.ones(len(z), bool)
    positions, z, weights = np.asarray(positions)[kept], z[kept], np.asarray(confidences, np.float64)[kept]
    frames = np.arange(length)
    dense = np.interp(frames, positions, z)
    if std > 0:
        # Frames between two readings carry the interpolated weight, or a long gap would be ruled by its far ends.
        dense_weights = np.interp(frames, positions, weights)
        total = scipy.ndimage.gaussian_filter1d(dense_weights * dense, std, mode="nearest")
        dense = total / scipy.ndimage.gaussian_filter1d(dense_weights, std, mode="nearest")
    return np.asarray(np.maximum(np.exp(dense) - LEVEL_OFFSET, 0.0))


def hold_steps(steps: np.ndarray, *, band: float, least: int = 0) -> np.ndarray:
    """Starting steps that change only when they must.

    A step is kept from frame to frame until the wanted one differs from it by more than `band` of itself. A sampled
    face stays so until its step falls below `least` by more than the same share: at a hard limit its detail would come
    and go.

    Args:
        steps: Wanted steps of the table, (N,).
        band: Share of a step; 0 keeps none.
        least: Below it a face keeps RM's estimate, step 0.

    Returns:
        (N,) int64.
    """
    held = np.asarray(steps, np.int64).copy()
    before = 0
    for i, wanted in enumerate(held.tolist()):
        if wanted < (least * (1 - band) if before > 0 else least):
            held[i] = 0
        elif before > 0 and wanted > 0 and abs(wanted - before) <= band * before:
            held[i] = before
        before = int(held[i])
    return held
