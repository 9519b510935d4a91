"""Differences between a restored and a clean face, by measures that grain cannot improve: colour, skin, octaves.

Each measure isolates one fault: wrong colours, skin rougher or smoother than the person's, octaves of the spectrum with
too little or too much power.
"""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.faces.colour import LUMINANCE
from dynface_video.metrics.fidelity import POWER_FLOOR, radial_power

SKIN_PATCHES = ((0.305, 0.555, 0.40, 0.66), (0.60, 0.555, 0.695, 0.66), (0.42, 0.28, 0.58, 0.37))
"""Boxes (left, top, right, bottom), as shares of an FFHQ-aligned crop: both cheeks and the forehead."""
SKIN_BLUR = 1 / 256
"""Sigma of the low-pass that is taken off to see the skin's texture, as a share of the crop's side."""
FINEST = 2
"""Octaves below the sampling limit that `finest_octaves_error` covers."""


def chroma_error(image: np.ndarray, clean: np.ndarray) -> float:
    """Mean absolute difference of Cb and Cr (BT.601, full range), over pixels and both channels, in 8-bit levels.

    image, clean: (H, W, 3) RGB floats in [0, 1].
    """
    return 255 * float(np.abs(_chroma(image) - _chroma(clean)).mean())


def skin_roughness(image: np.ndarray, clean: np.ndarray) -> float:
    """Texture of the skin in ratio to the clean face's: 1 is equal, above it is rougher.

    High-pass luminance `Y - G_s Y` with s of `SKIN_BLUR` times the side; its std over each of `SKIN_PATCHES`. Returns
    the geometric mean over the patches of std(image) / std(clean), so that a strand of hair in one of them, rough in
    both pictures, does not drown the others.

    image, clean: (R, R, 3) RGB floats in [0, 1], FFHQ-aligned.
    """
    ratios = _patch_stds(image) / _patch_stds(clean)
    return float(np.exp(np.log(ratios).mean()))


def octave_offsets(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Surplus power in each octave of the luminance's spectrum, in decades, finest octave first.

    The mean over the octave's rings of `log10(P_image / P_clean)` (rings as of `radial_power`): -1 is a tenth of the
    clean face's power, 0 equal. Octave k holds the rings of radius R / 2^(k + 2) to R / 2^(k + 1), k = 0, 1, ...; the
    coarsest begins at ring 8 or above.

    image, clean: (R, R, 3) RGB floats in [0, 1].
    """
    surplus = np.log10(radial_power(image) + POWER_FLOOR) - np.log10(radial_power(clean) + POWER_FLOOR)
    offsets, stop = [], image.shape[0] // 2
    while stop // 2 >= 8:
        offsets.append(surplus[stop // 2 + 1 : stop + 1].mean())
        stop //= 2
    return np.array(offsets)


def finest_octaves_error(image: np.ndarray, clean: np.ndarray) -> float:
    """Mean absolute offset of the finest two octaves, decades; see `octave_offsets`."""
    return float(np.abs(octave_offsets(image, clean)[:FINEST]).mean())


def _chroma(image: np.ndarray) -> np.ndarray:
    luminance = np.asarray(image, np.float32) @ LUMINANCE
    blue, red = (image[..., 2] - luminance) / 1.772, (image[..., 0] - luminance) / 1.402
    return np.stack([blue, red], axis=-1)


def _patch_stds(image: np.ndarray) -> np.ndarray:
    size = image.shape[0]
    luminance = np.asarray(image, np.float32) @ LUMINANCE
    texture = luminance - cv2.GaussianBlur(luminance, (0, 0), SKIN_BLUR * size, borderType=cv2.BORDER_REFLECT)
    boxes = np.rint(np.array(SKIN_PATCHES) * size).astype(int)
    stds = [texture[top:bottom, left:right].std() for left, top, right, bottom in boxes]
    # Half an 8-bit level: a patch of one colour has no texture to divide by.
    return np.maximum(np.array(stds, np.float64), 0.5 / 255 / np.sqrt(12))
