"""An image as it lies in its file, and which files count as images."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.media.io.probe import UNSPECIFIED

WRITTEN_KINDS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".dpx": "DPX",
    ".exr": "EXR",
}
"""Image formats that are written, by file ending; DPX and EXR only from the same."""
FILM_SCANS = ("DPX", "EXR")
HEIF_ENDINGS = (".heic", ".heif", ".hif")
READABLE = {
    *WRITTEN_KINDS, *HEIF_ENDINGS,
    ".avif", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".ppm", ".pgm", ".pnm", ".tga",
}  # fmt: skip
"""Endings of the files that are taken as images."""

RAW = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".srf", ".srw", ".x3f",
)  # fmt: skip
REMEDIES = {
    **dict.fromkeys(RAW, "a camera's raw format: develop it to TIFF or PNG first"),
    ".jxl": "JPEG XL is not read: convert it to PNG or, with djxl, back to JPEG",
    ".psd": "a layered format: export it as PNG or TIFF",
    ".psb": "a layered format: export it as PNG or TIFF",
    ".xcf": "a layered format: export it as PNG or TIFF",
    ".cin": "Cineon is not read: convert it to DPX",
    ".svg": "a drawing: export it as PNG",
}
"""What to do about images that are not read, by file ending."""
VIDEOS = (".gif", ".mov", ".mp4", ".m4v", ".avi", ".mkv", ".mts", ".3gp", ".webm")
"""Endings of videos that lie among images."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image as it lies in its file.

    Attributes:
        path: The file, None for samples that come from none.
        kind: Pillow's name of the format.
        samples: (H, W) or, red, green and blue, (H, W, 3) of uint8 or uint16. Depths between are spread over 16 bit;
            scene-linear floats are in the working range (`pixels.working_range`).
        alpha: (H, W) of the same dtype as the samples, or None.
        orientation: EXIF's number, 1 to 8, of how the samples are to be turned.
        exif: EXIF block as bytes; empty if absent.
        profile: ICC profile as bytes; empty if absent.
        transfer: Transfer function as `ColourInfo` has it.
        aspect: Width of a sample divided by its height.
        details: What else Pillow takes when it writes the same format.
    """

    path: Path | None
    kind: str
    samples: np.ndarray
    alpha: np.ndarray | None = None
    orientation: int = 1
    exif: bytes = b""
    profile: bytes = b""
    transfer: int = UNSPECIFIED
    aspect: Fraction = Fraction(1)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def deep(self) -> bool:
        """Whether samples have 16 bits."""
        return self.samples.dtype == np.uint16
