"""Between the chroma grid and the luma grid: chroma on every f-th column, and midway between each f lines."""

from __future__ import annotations

import numpy as np

Box = tuple[int, int, int, int]


def chroma_to_luma(chroma: np.ndarray, box: Box, chroma_box: Box, subsampling: tuple[int, int]) -> np.ndarray:
    """Interpolate chroma linearly at the luma positions of a box.

    chroma: the samples of `chroma_box` (x0, y0, x1, y1 in chroma samples), which should reach one sample beyond `box`;
    subsampling: base-2 logarithms, horizontal and vertical. Returns (h, w) of the box.
    """
    across, down = 1 << subsampling[0], 1 << subsampling[1]
    columns = np.arange(box[0], box[2]) / across - chroma_box[0]
    lines = (np.arange(box[1], box[3]) - (down - 1) / 2) / down - chroma_box[1]
    chroma = _interpolate(chroma, lines) if down > 1 else chroma[np.rint(lines).astype(int)]
    return _interpolate(chroma.T, columns).T if across > 1 else chroma[:, np.rint(columns).astype(int)]


def luma_to_chroma(
    change: np.ndarray, mask: np.ndarray, box: Box, chroma_box: Box, subsampling: tuple[int, int]
) -> np.ndarray:
    """Average a change at luma positions (0 outside its box) at the chroma samples of `chroma_box`.

    Horizontally with the weights that interpolation gives a sample, vertically over its lines. A sample whose own
    pixels all have mask 0 gets 0. change, mask: (h, w) of the box; returns (h, w) of the chroma box.
    """
    across, down = 1 << subsampling[0], 1 << subsampling[1]
    height, width = (chroma_box[3] - chroma_box[1]) * down, (chroma_box[2] - chroma_box[0]) * across
    margin = across - 1
    top, left = box[1] - chroma_box[1] * down, box[0] - chroma_box[0] * across
    around = ((top, height - top - change.shape[0]), (left, width - left - change.shape[1]))
    padded = np.pad(change, (around[0], (around[1][0] + margin, around[1][1] + margin)))
    rows = padded.reshape(height // down, down, -1).mean(axis=1)
    result = np.zeros((height // down, width // across), np.float32)
    for offset in range(-margin, margin + 1):
        weight = (across - abs(offset)) / across**2
        result += np.float32(weight) * rows[:, margin + offset : margin + offset + width : across]
    touched = np.pad(mask > 0, around).reshape(height // down, down, width // across, across).any(axis=(1, 3))
    return result * touched


def _interpolate(samples: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Linear interpolation between rows; beyond the first and last row those rows."""
    positions = np.clip(positions, 0, len(samples) - 1)
    below = np.minimum(positions.astype(int), max(len(samples) - 2, 0))
    above = np.minimum(below + 1, len(samples) - 1)
    share = (positions - below).astype(np.float32)[:, None]
    return samples[below] * (1 - share) + samples[above] * share
