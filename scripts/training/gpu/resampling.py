"""Shrinking by area and enlarging by cubic, every picture of a batch by a factor of its own, as matrix products.

A batch keeps one shape: a picture shrunk to r pixels fills the first r rows and columns of its canvas, and the rest
repeats its last ones. Fixed shapes are what compiled graphs need, and the repetition is what encoders pad with.
"""

from __future__ import annotations

import torch
from torch import Tensor

CUBIC_A = -0.75
"""Of OpenCV's cubic kernel, which enlarges degraded crops elsewhere."""


def area_matrices(sizes: Tensor, side: int) -> Tensor:
    """Rows that average a line of `side` pixels over the areas of fewer pixels.

    Args:
        sizes: (B,) long, 1 to `side`.
        side: Length of the line.

    Returns:
        (B, side, side): row i < size is the mean over [i f, (i + 1) f) with f = side / size, later rows repeat it.
    """
    factor = (side / sizes.double())[:, None, None]
    row = torch.minimum(torch.arange(side, device=sizes.device)[None, :], sizes[:, None] - 1)[:, :, None].double()
    column = torch.arange(side, device=sizes.device, dtype=torch.float64)[None, None, :]
    overlap = torch.minimum((row + 1) * factor, column + 1) - torch.maximum(row * factor, column)
    return (overlap.clamp(min=0) / factor).float()


def cubic_matrices(sizes: Tensor, side: int) -> Tensor:
    """Rows that enlarge the first `size` pixels of a line to all its `side` pixels by cubic interpolation.

    Args:
        sizes: (B,) long, 1 to `side`.
        side: Length of the line.

    Returns:
        (B, side, side); taps beyond the first `size` pixels fall on the last of them.

    Convention:
        Both grids cover the same interval: pixel x of the line is at (x + 1/2) size / side - 1/2 of the small one.
    """
    position = (torch.arange(side, device=sizes.device)[None] + 0.5) * (sizes.double() / side)[:, None] - 0.5
    first = position.floor()
    matrices = torch.zeros(len(sizes), side, side, dtype=torch.float64, device=sizes.device)
    for offset in range(-1, 3):
        tap = torch.minimum((first + offset).long().clamp(min=0), sizes[:, None] - 1)
        weight = _cubic((position - first - offset).abs())
        matrices.scatter_add_(2, tap[..., None], weight[..., None])
    return matrices.float()


def apply_both_ways(matrices: Tensor, pictures: Tensor) -> Tensor:
    """Matrices (B, M, N) along the rows and the columns of pictures (B, C, N, N): (B, C, M, M)."""
    with torch.autocast(pictures.device.type, enabled=False):
        across = matrices[:, None]
        return across @ pictures.float() @ across.transpose(-1, -2)


def repeat_last(canvas: Tensor, sizes: Tensor) -> Tensor:
    """Canvases (B, C, N, N) whose rows and columns from `size` on, (B,) long, repeat the last one before."""
    index = torch.minimum(torch.arange(canvas.shape[-1], device=canvas.device)[None], sizes[:, None] - 1)
    rows = index[:, None, :, None].expand_as(canvas)
    columns = index[:, None, None, :].expand_as(canvas)
    return canvas.gather(2, rows).gather(3, columns)


def _cubic(x: Tensor) -> Tensor:
    a = CUBIC_A
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
