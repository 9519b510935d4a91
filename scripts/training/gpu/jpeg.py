"""JPEG's loss without a codec: colour transform, 4:2:0, 8x8 DCT, quantisation by scaled standard tables, and back.

Batched torch, a quality for each picture (ITU-T T.81; tables, scaling and chroma filters as in libjpeg). Entropy coding
loses nothing and is left out. Gradients do not pass through.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.diffusion.dct import dct_matrix

BLOCK = 8
ALIGNMENT = 16
"""Sides must be multiples of this: one block of subsampled chroma."""
LUMINANCE_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


@torch.no_grad()
def jpeg_round_trip(levels: Tensor, quality: Tensor) -> Tensor:
    """What a JPEG decoder gives back of pictures that were encoded with 4:2:0 chroma.

    Args:
        levels: (B, 3, H, W) RGB float, whole numbers in [0, 255]; H and W are multiples of `ALIGNMENT`.
        quality: (B,) in [1, 100], as libjpeg counts it.

    Returns:
        (B, 3, H, W) float, whole numbers in [0, 255].

    Raises:
        ValueError: For sides that are no multiples of `ALIGNMENT`.
    """
    if levels.shape[-2] % ALIGNMENT or levels.shape[-1] % ALIGNMENT:
        raise ValueError(f"sides must be multiples of {ALIGNMENT}, not {tuple(levels.shape[-2:])}")
    with torch.autocast(levels.device.type, enabled=False):
        ycc = torch.einsum("ij,bjhw->bihw", levels.new_tensor(TO_YCC), levels.float()).round()  # chroma about 0
        luminance = _quantised(ycc[:, :1] - 128, _table(LUMINANCE_TABLE, quality)) + 128
        chroma = _quantised(_subsampled(ycc[:, 1:]), _table(CHROMA_TABLE, quality))
        # Bilinear at half-pixel centres is the triangle filter of libjpeg's decoder ("fancy upsampling").
        chroma = F.interpolate(chroma.clamp(-128, 127), scale_factor=2, mode="bilinear", align_corners=False)
        decoded = torch.cat([luminance.clamp(0, 255), chroma.round()], dim=1)
        return torch.einsum("ij,bjhw->bihw", levels.new_tensor(TO_RGB), decoded).round().clamp(0, 255)


def quantisation_scale(quality: Tensor) -> Tensor:
    """libjpeg's scaling of the standard tables in percent, (B,) for qualities (B,)."""
    return torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)


def _subsampled(chroma: Tensor) -> Tensor:
    """Means of 2x2 pixels, whole numbers: halves go down and up by turns of columns, as in libjpeg."""
    total = 4 * F.avg_pool2d(chroma + 128, 2)
    bias = 1 + torch.arange(total.shape[-1], device=total.device) % 2
    return ((total + bias) / 4).floor() - 128


def _table(standard: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    table = torch.tensor(standard, dtype=torch.float32, device=quality.device)
    scaled = (table * quantisation_scale(quality.float().round())[:, None, None] + 50) / 100
    return scaled.floor().clamp(1, 255)[:, None, None, None]  # (B, 1, 1, 1, 8, 8)


def _quantised(planes: Tensor, table: Tensor) -> Tensor:
    """Planes (B, C, H, W) about 0 through quantised 8x8 DCTs; table: (B, 1, 1, 1, 8, 8)."""
    matrix = dct_matrix(BLOCK, device=planes.device)
    blocks = planes.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK)).transpose(3, 4)  # (B, C, h, w, 8, 8)
    coefficients = (_both_ways(blocks, matrix.T) / table).round() * table
    restored = _both_ways(coefficients, matrix)
    return restored.round().transpose(3, 4).flatten(4, 5).flatten(2, 3)


def _both_ways(blocks: Tensor, matrix: Tensor) -> Tensor:
    """`matrix.T @ blocks @ matrix` of blocks (..., 8, 8) in two products of all rows at once: small ones are slow."""
    return ((blocks @ matrix).transpose(-1, -2) @ matrix).transpose(-1, -2)
