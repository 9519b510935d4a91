"""The neighbours of a crop, warped onto it: what RM reads beside it."""

from __future__ import annotations

import numpy as np

from dynface_video.temporal.flow import dense_flow, flow_picture, warp


def warped_neighbours(middle: np.ndarray, neighbours: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Crops of the same face as the middle one would show them, (K, R, R, 3) float32 in [0, 1].

    middle: (R, R, 3) float32 in [0, 1]; neighbours: (K, R, R, 3); valid: (K,) bool, neighbours that are none come back
    as the middle crop.
    """
    target = flow_picture(middle)
    warped = np.repeat(middle[None], len(neighbours), axis=0)
    for k in np.flatnonzero(valid):
        warped[k] = np.clip(warp(neighbours[k], dense_flow(target, flow_picture(neighbours[k]))), 0, 1)
    return warped
