"""Resampling between the chroma grid and the luma grid for any chroma siting."""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.media.pixels.planes import Box


def chroma_to_luma(
    chroma: np.ndarray, box: Box, chroma_box: Box, subsampling: tuple[int, int], offset: tuple[float, float]
) -> np.ndarray:
    """Interpolate chroma linearly at the luma positions of a box.

    Args:
        chroma: Samples of `chroma_box`, which should extend one sample beyond `box`.
        box: In pixels.
        chroma_box: In chroma samples.
        subsampling: Base-2 logarithms, horizontal and vertical.
        offset: Of a chroma sample from its first luma sample, right and down, in luma samples.

    Returns:
        (h, w) of the box.
    """
    across, down = 1 << subsampling[0], 1 << subsampling[1]
    if subsampling == (0, 0):
        x0, y0 = box[0] - chroma_box[0], box[1] - chroma_box[1]
        return chroma[y0 : y0 + box[3] - box[1], x0 : x0 + box[2] - box[0]]
    to_chroma = np.array(
        [
            [1 / across, 0, (box[0] - offset[0]) / across - chroma_box[0]],
            [0, 1 / down, (box[1] - offset[1]) / down - chroma_box[1]],
        ]
    )
    size = box[2] - box[0], box[3] - box[1]
    # OpenCV rounds positions to 1/32; these are multiples of 1/8, so nothing is lost.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(chroma, to_chroma, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def luma_to_chroma(
    change: np.ndarray,
    mask: np.ndarray,
    box: Box,
    chroma_box: Box,
    subsampling: tuple[int, int],
    offset: tuple[float, float],
) -> np.ndarray:
    """Average a change given at luma positions (0 outside its box) at chroma samples.

    The average covers the luma samples around a chroma sample in their middle or, where it coincides with a luma
    sample, uses the weights of linear interpolation. A sample whose pixels all have mask 0 gets 0.

    Args:
        change: (h, w) of the box.
        mask: (h, w) of the box.
        box: In pixels.
        chroma_box: In chroma samples.
        subsampling: As of `chroma_to_luma`.
        offset: As of `chroma_to_luma`.

    Returns:
        (h, w) of the chroma box.
    """
    across, down = 1 << subsampling[0], 1 << subsampling[1]
    height, width = (chroma_box[3] - chroma_box[1]) * down, (chroma_box[2] - chroma_box[0]) * across
    top, left = box[1] - chroma_box[1] * down, box[0] - chroma_box[0] * across
    around = ((top, height - top - change.shape[0]), (left, width - left - change.shape[1]))
    padded = np.pad(change, around)
    result = _gather(_gather(padded, down, offset[1]).T, across, offset[0]).T
    touched = np.pad(mask > 0, around).reshape(height // down, down, width // across, across).any(axis=(1, 3))
    return result * touched


def _gather(samples: np.ndarray, factor: int, offset: float) -> np.ndarray:
    """One row for each `factor` rows: their mean, or a triangle around the row at `offset`."""
    if factor == 1:
        return samples
    if offset == (factor - 1) / 2:
        return np.asarray(samples.reshape(len(samples) // factor, factor, -1).mean(axis=1))
    margin, count = factor - 1, len(samples) // factor
    padded = np.pad(samples, ((margin, margin), (0, 0)))
    result = np.zeros((count, samples.shape[1]), np.float32)
    for distance in range(-margin, margin + 1):
        first = margin + int(offset) + distance
        weight = (factor - abs(distance)) / factor**2
        result += np.float32(weight) * padded[first : first + factor * (count - 1) + 1 : factor]
    return result
