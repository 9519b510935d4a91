"""Blur levels are relative: the std of the Gaussian divided by the side R of the crop.

One number then means the same blur of a face at every resolution (docs/method.md 2). Pixels exist only inside a formula
that works on a grid, and every conversion goes through this module.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from torch import Tensor

Level = TypeVar("Level", float, np.ndarray, Tensor)

PAPER_RESOLUTION = 512
"""The side that the paper's pixel values belong to: guide spacing, eta, published levels."""


def level_in_pixels(relative_level: Level, resolution: int) -> Level:
    """Std in pixels of a crop with `resolution` pixels a side."""
    return relative_level * resolution


def relative_level(pixels: Level, resolution: int) -> Level:
    """Inverse of `level_in_pixels`."""
    return pixels / resolution
