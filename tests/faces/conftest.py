"""What tests of faces draw with."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest


@pytest.fixture
def similarity() -> Callable[[float, float, float, float], np.ndarray]:
    """Makes the (2, 3) transform that scales, turns by degrees, then shifts by (x, y)."""

    def make(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
        angle = np.deg2rad(degrees)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        return np.array([[c, -s, x], [s, c, y]])

    return make


@pytest.fixture
def smooth_picture() -> Callable[..., np.ndarray]:
    """Makes a smooth random picture, (height, width, 3) float32 in [0, 1]."""

    def make(height: int, width: int, seed: int = 0) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), 4)
        return np.clip(0.5 + 0.18 * smooth / smooth.std(), 0, 1).astype(np.float32)

    return make
