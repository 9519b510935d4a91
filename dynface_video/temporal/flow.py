"""How aligned crops of one face move against each other: dense flow, warping, and where the flow can be trusted.

A flow (R, R, 2) belongs to a target and a source: the point (x, y) of the target is found at (x, y) + flow[y, x] in the
source. Pixel centres are integers.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
FLOW_BLUR = 2 / 128
"""Of the pictures before their flow is looked for, in sides: noise moves a flow more than the blur does."""
REPLICATE = cv2.BORDER_REPLICATE


def flow_picture(crop: np.ndarray) -> np.ndarray:
    """What flow is measured on, (R, R) uint8: the slightly blurred luminance of a crop (R, R, 3) float32 in [0, 1]."""
    luminance = cv2.GaussianBlur(crop @ LUMINANCE, (0, 0), FLOW_BLUR * crop.shape[0])
    return np.asarray(np.clip(np.rint(luminance * 255), 0, 255).astype(np.uint8))


def dense_flow(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The flow from a target to a source, both from `flow_picture`: (R, R, 2) float32 pixels.

    It is dense inverse search (Kroeger et al. 2016) in OpenCV's fast setting: on degraded faces finer settings follow
    the noise (at severe strength they err by 0.9 pixels of 128, this one by 0.5, and no motion at all by 1.1).
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(search.calc(target, source, np.zeros((*target.shape, 2), np.float32)))


def warp(source: np.ndarray, flow: np.ndarray, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """The source as the target would show it, (R, R) or (R, R, C) float32; borders are replicated."""
    x, y = _places(*flow.shape[:2])
    return np.asarray(cv2.remap(source, x + flow[..., 0], y + flow[..., 1], interpolation, borderMode=REPLICATE))


@lru_cache(maxsize=8)
def _places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates x and y of every pixel, (H, W) float32 each."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def forward_backward_consistency(forward: np.ndarray, backward: np.ndarray, *, tolerance: float) -> np.ndarray:
    """How far a flow and the one back cancel, (R, R) float32 in [0, 1]: near 0 where something is covered or mistaken.

    forward: from the target to the source; backward: from the source to the target, (R, R, 2) each; tolerance: pixels
    by which the way there and back may miss for the trust to fall to exp(-1/2).
    """
    missed = forward + warp(backward, forward, cv2.INTER_LINEAR)
    return np.asarray(np.exp(-(missed**2).sum(axis=-1) / (2 * tolerance**2)))
