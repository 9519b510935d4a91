"""What years do to film, beyond the field's protocol: lost colour, fading, scratches, dust, things before a face."""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.faces.colour import LUMINANCE


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
    """Something in front, filled from `patch`, both (S, S, 3): an ellipse of up to a third of the side, or an edge.

    The edge, from any side, hides up to 45 % of the picture, as the head of somebody nearer does.
    """
    size = picture.shape[0]
    mask = np.zeros(picture.shape[:2], np.float32)
    if rng.random() < 0.5:
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(max(1, int(v)) for v in rng.uniform(0.05, 0.3, 2) * size)
        cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
    else:
        # A disk so large that its rim is seen as an edge.
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2.0) * size
        away = size * (0.5 - rng.uniform(0.1, 0.45)) + radius
        middle = (size / 2 + away * np.cos(angle), size / 2 + away * np.sin(angle))
        cv2.circle(mask, (int(middle[0]), int(middle[1])), int(radius), 1.0, -1, cv2.LINE_AA)
    return np.where(mask[..., None] > 0.5, patch, picture)


def drawn(picture: np.ndarray, ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A face as one prints it on cloth: in two tones or as lines, on `ground`; (S, S, 3) uint8 all of them.

    Tones may be swapped, as of a white print on black.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), float(rng.uniform(0.5, 2.5)))
    if rng.random() < 0.6:
        _, ink = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    else:
        block = 2 * int(rng.integers(3, 12)) + 1
        ink = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, rng.uniform(1, 6))
    ink = 255 - ink if rng.random() < 0.5 else ink
    share = cv2.GaussianBlur(ink, (0, 0), 0.6).astype(np.float32)[..., None] / 255 * float(rng.uniform(0.6, 1.0))
    base = ground if rng.random() < 0.5 else np.full_like(ground, ground.mean(axis=(0, 1)).astype(np.uint8))
    colour = rng.integers(0, 256, 3) if rng.random() < 0.3 else np.full(3, rng.choice([10, 235]))
    return (share * colour.astype(np.float32) + (1 - share) * base).astype(np.uint8)
