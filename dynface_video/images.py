"""Conversion of aligned crops (PIL, NumPy, torch) to and from float32 arrays in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dynface_video.errors import InputError

Images = TypeVar("Images", Image.Image, np.ndarray, Tensor, Sequence[Any])

RANGE_SLACK = 0.1
"""Tolerance of float values outside [0, 1]: interpolation overshoots."""


def as_array(picture: Image.Image | np.ndarray) -> np.ndarray:
    """A PIL image or an array (H, W, 3), uint8 or float in [0, 1], as float32 (H, W, 3) in [0, 1].

    Raises InputError for another shape, type or range.
    """
    if isinstance(picture, Image.Image):
        picture = np.asarray(picture.convert("RGB"))
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 3:
        shape = getattr(picture, "shape", type(picture).__name__)
        raise InputError(f"a picture is {shape}; expected RGB of shape (H, W, 3)")
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255
    if not np.issubdtype(picture.dtype, np.floating):
        raise InputError(f"a picture has type {picture.dtype}; expected uint8, or floats in [0, 1]")
    if not bool(((picture >= -RANGE_SLACK) & (picture <= 1 + RANGE_SLACK)).all()):
        raise InputError("a picture has values outside [0, 1] or NaN; divide 8-bit values by 255")
    return np.clip(picture, 0, 1).astype(np.float32)


def as_images(images: Any) -> list[np.ndarray]:
    """Aligned crops as `FacePipeline` takes them, as a list of float32 arrays (S, S, 3) in [0, 1].

    Raises InputError for anything that is not a square RGB picture.
    """
    if isinstance(images, Tensor):
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"crops have shape {tuple(images.shape)}; expected (B, 3, S, S)")
        if not images.is_floating_point():
            raise InputError(f"crops have type {images.dtype}; expected floats in [0, 1]: divide 8-bit values by 255")
        images = list(images.detach().float().cpu().permute(0, 2, 3, 1).numpy())
    elif isinstance(images, Image.Image) or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    pictures = [as_array(picture) for picture in images]
    for picture in pictures:
        if picture.shape[0] != picture.shape[1]:
            raise InputError(f"a crop has shape {picture.shape}; aligned crops are square, (S, S, 3)")
    return pictures


def like_input(pictures: Sequence[np.ndarray], images: Any) -> Any:
    """Float32 arrays (S, S, 3) in [0, 1] as the kind, type and range of `images`, from which they were made."""
    if isinstance(images, Tensor):
        if not len(pictures):
            return images.clone()
        stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        return stacked.contiguous().to(images)
    if isinstance(images, Image.Image):
        return Image.fromarray(_as_bytes(pictures[0]))
    if isinstance(images, np.ndarray):
        typed = [_as_bytes(p) if images.dtype == np.uint8 else p.astype(images.dtype) for p in pictures]
        return typed[0] if images.ndim == 3 else np.stack(typed)
    return type(images)(like_input([p], original) for p, original in zip(pictures, images, strict=True))


def _as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
