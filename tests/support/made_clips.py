"""A made clip of a moving picture, for the evaluation of clips."""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.faces.align import template
from evaluation.clips import CleanClip

FRAMES, SIDE = 5, 96


def clip() -> CleanClip:
    noise = np.random.default_rng(0).standard_normal((SIDE + FRAMES, SIDE + FRAMES, 3)).astype(np.float32)
    picture = np.clip(128 + 300 * cv2.GaussianBlur(noise, (0, 0), 2), 0, 255).astype(np.uint8)
    frames = np.stack([picture[k : k + SIDE, k : k + SIDE] for k in range(FRAMES)])
    return CleanClip("made", frames, np.stack([template(SIDE) - k for k in range(FRAMES)]))


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())
