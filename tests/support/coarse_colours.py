"""Pictures of 128 pixels in squares of one colour each, or of one grey."""

from __future__ import annotations

import numpy as np


def colourful(rng: np.random.Generator) -> np.ndarray:
    """(128, 128, 3) float32 in [0, 1]."""
    coarse = rng.random((8, 8, 3), dtype=np.float32)
    return np.kron(coarse, np.ones((16, 16, 1), np.float32))


def grey(rng: np.random.Generator, tint: tuple[float, float, float] = (1, 1, 1)) -> np.ndarray:
    """The same without colour, but for a tint."""
    luminance = np.kron(rng.random((8, 8), dtype=np.float32), np.ones((16, 16), np.float32))
    return (luminance[..., None] * np.array(tint, np.float32)).astype(np.float32)
