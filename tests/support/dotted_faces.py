"""Two faces of 256 pixels with five black dots on one grey: a label can be checked against pixels."""

from __future__ import annotations

import numpy as np

from training.data import FaceSet

TEMPLATE = np.array([[96, 120], [160, 120], [128, 158], [101, 185], [155, 185]], np.float32)
"""Where the dots are, (x, y)."""


def dotted_faces(grey: int) -> FaceSet:
    """One for training, one held out."""
    picture = np.full((256, 256, 3), grey, np.uint8)
    for x, y in TEMPLATE.astype(int):
        picture[y - 9 : y + 10, x - 9 : x + 10] = 0
    corners = np.array([[0, 0], [255, 0], [255, 255], [0, 255]], np.float32)
    return FaceSet(
        np.stack([picture] * 2),
        np.stack([corners] * 2),
        np.stack([TEMPLATE] * 2),
        np.full(2, 20.0, np.float32),
        np.ones(2, np.float32),
        np.array([False, True]),
    )
