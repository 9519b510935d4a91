"""Gaussian blur that is diagonal in the DCT-II basis: the known degradation of DynFaceRestore (docs/method.md 2 and 4).

With half-sample reflecting borders (`d c b a | a b c d | d c b a`) a symmetric separable blur multiplies the k-th
DCT-II coefficient of an axis of length n by `exp(-s^2 (pi k / n)^2 / 2)`. Blur, deblur and the guidance of the sampler
are then element-wise between two DCTs, and each DCT is one matrix product per axis.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # a cached matrix must also serve where gradients are wanted
def _dct_matrix(size: int, device: torch.device) -> Tensor:
    k = torch.arange(size, dtype=torch.float64)[:, None]
    i = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos(torch.pi * (i + 0.5) * k / size) * (2.0 / size) ** 0.5
    matrix[0] /= 2.0**0.5
    return matrix.float().to(device)


def dct_matrix(size: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Orthonormal DCT-II matrix D, (size, size) float32, kept per device: `D @ x` transforms, `D.T @ X` inverts."""
    return _dct_matrix(size, torch.device(device))


def dct2(x: Tensor) -> Tensor:
    """Orthonormal 2-D DCT-II over the last two axes of a float tensor, (..., H, W); float32 under autocast too."""
    rows = dct_matrix(x.shape[-2], device=x.device)
    columns = dct_matrix(x.shape[-1], device=x.device)
    with torch.autocast(x.device.type, enabled=False):
        return rows @ x @ columns.T


def idct2(coefficients: Tensor) -> Tensor:
    """Inverse of `dct2`, (..., H, W)."""
    rows = dct_matrix(coefficients.shape[-2], device=coefficients.device)
    columns = dct_matrix(coefficients.shape[-1], device=coefficients.device)
    with torch.autocast(coefficients.device.type, enabled=False):
        return rows.T @ coefficients @ columns


def gaussian_transfer(blur_level: Tensor, size: int) -> Tensor:
    """The transfer function of `G_s`: its factor for each DCT-II coefficient of a square crop.

    Args:
        blur_level: Std in pixels of that crop, (B,), 0 for no blur.
        size: Side of the crop, pixels.

    Returns:
        (B, 1, size, size) in (0, 1].
    """
    frequency = torch.arange(size, device=blur_level.device, dtype=torch.float32) * (torch.pi / size)
    axis = torch.exp(-0.5 * (blur_level.float()[:, None] * frequency) ** 2)
    return (axis[:, :, None] * axis[:, None, :])[:, None]


def gaussian_blur(x: Tensor, blur_level: Tensor) -> Tensor:
    """`G_s x` for square crops (B, C, R, R) and levels (B,) in pixels, half-sample reflecting borders."""
    return idct2(gaussian_transfer(blur_level, x.shape[-1]) * dct2(x.float()))
