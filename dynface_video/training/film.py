"""What years do to film, beyond the field's protocol: lost colour, fading, scratches, dust, things before a face."""

from __future__ import annotations

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def fade(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour lost or tinted, exposure and contrast off; (H, W, 3) float32 in [0, 1] in and out."""
    if rng.random() < 0.35:
        grey = picture @ LUMINANCE
        tint = rng.uniform([0.92, 0.85, 0.7], 1.0) if rng.random() < 0.3 else np.ones(3)
        picture = grey[..., None] * tint.astype(np.float32)
    elif rng.random() < 0.5:
        picture = picture * np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
    gamma, contrast, lift = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(-0.1, 0.25)), rng.normal(0, 0.08)
    faded = (np.clip(picture, 0, 1) ** np.float32(gamma) - 0.5) * np.float32(contrast) + np.float32(0.5 + lift)
    return np.clip(faded, 0, 1).astype(np.float32)


def wear(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scratches along the film and dust on it; (H, W, 3) float32 in [0, 1] in and out."""
    height, width = picture.shape[:2]
    worn = picture.copy()
    for _ in range(rng.integers(0, 3)):
        x, level = rng.uniform(0, width), float(rng.choice([0.05, 0.9]))
        slant = rng.normal(0, 0.01 * width)
        ends = (round(x), 0), (round(x + slant), height)
        cv2.line(worn, *ends, (level,) * 3, max(1, round(width / 160)), cv2.LINE_AA)
    for _ in range(rng.integers(0, 6)):
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        radius = max(1, int(rng.exponential(width / 90)))
        cv2.circle(worn, centre, radius, (float(rng.choice([0.03, 0.95])),) * 3, -1, cv2.LINE_AA)
    return worn


def occlude(picture: np.ndarray, patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Something in front: an ellipse or a bar filled from `patch`, both (S, S, 3), over at most a third of the side."""
    size = picture.shape[0]
    mask = np.zeros(picture.shape[:2], np.float32)
    centre = tuple(int(v) for v in rng.integers(0, size, 2))
    axes = tuple(max(1, int(v)) for v in rng.uniform(0.05, 0.3, 2) * size)
    cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
    return np.where(mask[..., None] > 0.5, patch, picture)
