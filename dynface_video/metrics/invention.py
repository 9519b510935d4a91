"""How much of a restored face's detail does not come from the same frame of its source."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dynface_video.faces.colour import LUMINANCE
from dynface_video.metrics.fidelity import SPECTRUM_FROM

COARSEST = float(SPECTRUM_FROM)
"""Cycles a crop from which on structure counts as detail: below are the lighting and the shape of the head."""
BAND_WIDTH = 2.0
"""Cycles a crop: narrow enough that a blur is one gain in a band, wide enough for dozens of coefficients."""
FLAT = 1e-9


def invented_share(restored: np.ndarray, source: np.ndarray) -> float:
    """Share of a restored face's detail that does not follow from the source, in [0, 1].

    Both luminances, under a Hann window, are cut into rings `BAND_WIDTH` wide, from `COARSEST` cycles a crop up to
    n / 2. In each band the squared coherence

        C = |sum F_s* F_r|^2 / (sum |F_s|^2 sum |F_r|^2),    corrected for chance: (C - 1/m) / (1 - 1/m), at least 0

    is the share of the restored band's power that a gain times the source's band explains, with m the band's number of
    independent coefficients. The result is `sum P (1 - C) / sum P` with P the restored face's power in the band.
    Amplifying or deblurring what the source shows is not invention: it changes the gain alone. What stands in place of
    the source's noise is.

    Args:
        restored: (n, n, 3) floats in [0, 1], n at least 16.
        source: The same crop of the source.

    Returns:
        0 where the face is the source's up to gains, about 1 where it has nothing to do with it; 0 for a face without
        any detail.

    Raises:
        ValueError: The shapes disagree, or are no square colour pictures of at least 16 pixels.
    """
    size = restored.shape[0]
    if restored.shape != source.shape or restored.shape != (size, size, 3) or size < 16:
        raise ValueError(f"two square colour crops of one size are needed, not {restored.shape} and {source.shape}")
    ours, theirs = _spectrum(restored), _spectrum(source)
    band = _bands(size)
    count = int(band.max()) + 1
    power = np.bincount(band, np.abs(ours) ** 2, count + 1)[1:]
    other = np.bincount(band, np.abs(theirs) ** 2, count + 1)[1:]
    cross = theirs.conj() * ours
    real, imaginary = (np.bincount(band, part, count + 1)[1:] for part in (cross.real, cross.imag))
    # The coefficients of a real picture come in pairs, and the window ties neighbours together.
    independent = np.maximum(np.bincount(band, minlength=count + 1)[1:] / 4, 2.0)
    coherence = (real**2 + imaginary**2) / np.maximum(power * other, FLAT**2)
    coherence = np.clip((coherence - 1 / independent) / (1 - 1 / independent), 0, 1)
    total = float(power.sum())
    return float((power * (1 - coherence)).sum()) / total if total > FLAT else 0.0


def _spectrum(crop: np.ndarray) -> np.ndarray:
    """The transform of the windowed luminance without its mean, (n * n,) complex."""
    luminance = np.asarray(crop, np.float64) @ LUMINANCE
    window = np.hanning(len(crop))
    return np.fft.fft2((luminance - luminance.mean()) * np.outer(window, window)).ravel()


@lru_cache(maxsize=4)
def _bands(size: int) -> np.ndarray:
    """Number of each coefficient's band from 1 on, coarse to fine, (n * n,); 0 for what is no detail."""
    frequency = np.fft.fftfreq(size, 1 / size)
    radius = np.hypot(frequency[:, None], frequency[None, :]).ravel()
    inside = (radius >= COARSEST) & (radius <= size / 2)
    return np.where(inside, 1 + np.floor((radius - COARSEST) / BAND_WIDTH), 0).astype(np.int64)
