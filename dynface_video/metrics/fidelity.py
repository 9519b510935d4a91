"""How close a restored picture is to the clean one: PSNR, SSIM and the log-spectrum distance.

PSNR alone favours blur; the spectrum distance alone favours any texture, noise included. Judge with all three
(docs/evaluation.md).
"""

from __future__ import annotations

import numpy as np

from dynface_video.faces.colour import LUMINANCE

SPECTRUM_FROM = 8
POWER_FLOOR = 1e-8


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels; infinite for equal pictures.

    image, clean: (H, W, 3) floats in [0, 1]. Raises ValueError when the shapes disagree.
    """
    _check_shapes(image, clean)
    error = float(np.mean((np.asarray(image, np.float64) - np.asarray(clean, np.float64)) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(image: np.ndarray, clean: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window of 1.5 pixels), mean of the channels; 1 is equal.

    image, clean: (H, W, 3) floats in [0, 1], at least 11 pixels each way. Raises ValueError when the shapes disagree.
    """
    from skimage.metrics import structural_similarity

    _check_shapes(image, clean)
    value = structural_similarity(
        np.asarray(image, np.float64),
        np.asarray(clean, np.float64),
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def log_spectrum_distance(image: np.ndarray, clean: np.ndarray) -> float:
    """Mean absolute difference of log10 radial power: 0 is equal, 1 is a factor of ten at every frequency.

    For each square picture of side n: Y = 0.299 R + 0.587 G + 0.114 B; multiply by the Hann window (outer product of
    `numpy.hanning(n)`); P = |FFT2|^2; average P over rings of radius k, those coefficients whose distance from zero
    frequency, in cycles per picture, rounds to k. The distance is the mean over k = 8 .. n // 2 of
    |log10(P_image(k) + 1e-8) - log10(P_clean(k) + 1e-8)|. Missing and surplus detail count alike; where the detail
    lies does not matter. For a set of pictures average the distances, not the spectra: a picture with too much power
    must not make up for one with too little.

    image, clean: (n, n, 3) floats in [0, 1], n at least 16. Raises ValueError for other shapes.
    """
    _check_shapes(image, clean)
    difference = np.log10(radial_power(image) + POWER_FLOOR) - np.log10(radial_power(clean) + POWER_FLOOR)
    return float(np.abs(difference[SPECTRUM_FROM:]).mean())


def radial_power(image: np.ndarray) -> np.ndarray:
    """Power of the windowed luminance on rings of integer radius 0 .. n // 2, as `log_spectrum_distance` takes it.

    image: (n, n, 3) floats in [0, 1]; returns (n // 2 + 1,) float64.
    """
    size = image.shape[0]
    if image.shape != (size, size, 3) or size < 2 * SPECTRUM_FROM:
        raise ValueError(f"the spectrum needs a square colour picture of at least 16 pixels, not {image.shape}")
    window = np.hanning(size)
    luminance = np.asarray(image, np.float64) @ LUMINANCE
    power = np.abs(np.fft.fft2(luminance * window[:, None] * window[None, :])) ** 2
    frequency = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(frequency[:, None], frequency[None, :])).astype(np.int64).ravel()
    total = np.bincount(ring, weights=power.ravel())
    return np.asarray((total / np.bincount(ring))[: size // 2 + 1])


def _check_shapes(image: np.ndarray, clean: np.ndarray) -> None:
    if image.shape != clean.shape:
        raise ValueError(f"the pictures have different shapes: {image.shape} and {clean.shape}")
