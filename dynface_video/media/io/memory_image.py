"""Images that a program holds, PIL or NumPy, as `ImageFile` and back."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image

from dynface_video.errors import InputError
from dynface_video.media.io.image_file import ImageFile

MemoryImage = TypeVar("MemoryImage", Image.Image, np.ndarray)
"""A PIL image, or an RGB array (H, W, 3), uint8 or float in [0, 1]."""

DEEPEST = 65535
RANGE_SLACK = 0.1
"""How far float values may lie outside [0, 1]: interpolation overshoots."""


def image_file_of(image: Image.Image | np.ndarray) -> ImageFile:
    """Wrap an image in memory as an `ImageFile`; floats are converted to 16 bits.

    Args:
        image: A PIL image of any mode, or an RGB array (H, W, 3), uint8 or float in [0, 1].

    Returns:
        Its samples, uint8 or uint16, with the EXIF orientation of a PIL image.

    Raises:
        InputError: Another shape or type, or values outside the range.
    """
    if isinstance(image, Image.Image):
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
        samples = np.asarray(image.convert("RGB"))
        return ImageFile(None, "", samples, orientation=orientation if 1 <= orientation <= 8 else 1)
    return ImageFile(None, "", _samples(image))


def as_image(samples: np.ndarray, image: MemoryImage) -> MemoryImage:
    """Restored samples as the kind of image that they were made from; what did not change keeps its exact values.

    Args:
        samples: As of `image_file_of(image)`, restored.
        image: The image itself.

    Returns:
        A PIL image of the same mode, or an array of the same type.
    """
    if isinstance(image, Image.Image):
        restored = Image.fromarray(samples)
        if image.mode != "RGB":
            restored = restored.convert(image.mode) if "A" not in image.mode else _with_alpha(restored, image)
        restored.info = dict(image.info)
        return restored
    if image.dtype == np.uint8:
        return samples
    changed = samples != _samples(image)
    return np.where(changed, samples / DEEPEST, image).astype(image.dtype)


def _samples(array: np.ndarray) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise InputError(f"an image is of type {type(array).__name__}; expected a PIL image or a NumPy array (H, W, 3)")
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InputError(f"an image has shape {array.shape}; expected RGB of shape (H, W, 3)")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"an image has type {array.dtype}; expected uint8, or floats in [0, 1]")
    # NaN fails this too.
    if not bool(((array >= -RANGE_SLACK) & (array <= 1 + RANGE_SLACK)).all()):
        raise InputError("an image has values outside [0, 1] or NaN; divide 8-bit values by 255")
    return np.rint(np.clip(array.astype(np.float64), 0, 1) * DEEPEST).astype(np.uint16)


def _with_alpha(restored: Image.Image, image: Image.Image) -> Image.Image:
    alpha = image.convert("RGBA").getchannel("A")
    restored.putalpha(alpha)
    return restored.convert(image.mode)
