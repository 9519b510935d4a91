"""The field's synthetic degradation, `y = JPEG_q((x * k) down r + noise) up r` (docs/method.md 7), on one crop."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REFERENCE = 512
"""Side of the crops that the lengths below belong to, pixels."""
SMALLEST_SIDE = 8


@dataclass(frozen=True)
class Damage:
    """What happens to a clean crop; lengths are pixels at 512.

    Attributes:
        blur: Std of the Gaussian along its two axes.
        angle: Of the first axis, radians.
        downscale: r, the factor by which the crop is shrunk.
        noise: Std of the noise at the small size, levels of 255.
        jpeg: Quality at the small size, 1 to 100; None for no JPEG.
    """

    blur: tuple[float, float]
    angle: float
    downscale: float
    noise: float
    jpeg: int | None


def random_damage(rng: np.random.Generator) -> Damage:
    """From nearly nothing to the strongest of the field's protocol: std 0.4 to 16, r 0.8 to 26, noise to 20."""
    blur = float(np.exp(rng.uniform(np.log(0.4), np.log(16.0))))
    ratio = float(np.exp(rng.normal(0, 0.35))) if rng.random() < 0.5 else 1.0
    return Damage(
        blur=(blur, blur * ratio),
        angle=float(rng.uniform(0, np.pi)),
        downscale=float(np.exp(rng.uniform(np.log(0.8), np.log(26.0)))),
        noise=float(rng.uniform(0, 20)) if rng.random() < 0.85 else 0.0,
        jpeg=int(rng.uniform(28, 98)) if rng.random() < 0.7 else None,
    )


def damaged(crop: np.ndarray, damage: Damage, rng: np.random.Generator) -> np.ndarray:
    """Degrade a crop.

    Args:
        crop: (R, R, 3) float32 in [0, 1].
        damage: What happens to it.
        rng: Draws the noise.

    Returns:
        The same shape and range.
    """
    size = crop.shape[0]
    scale = size / REFERENCE
    shrink = max(1.0, damage.downscale * scale)
    small_size = max(SMALLEST_SIDE, round(size / shrink))
    blurred = _blurred(crop, (damage.blur[0] * scale, damage.blur[1] * scale), damage.angle)
    small = cv2.resize(blurred, (small_size, small_size), interpolation=cv2.INTER_AREA)
    small = small + rng.standard_normal(small.shape, dtype=np.float32) * np.float32(damage.noise / 255)
    levels = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    if damage.jpeg is not None:
        _, data = cv2.imencode(".jpg", levels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, damage.jpeg])
        levels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1]
    enlarged = cv2.resize(levels.astype(np.float32) / 255, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(enlarged, 0, 1)


def _blurred(crop: np.ndarray, stds: tuple[float, float], angle: float) -> np.ndarray:
    widest = max(stds)
    if widest < 0.2:
        return crop
    radius = int(np.ceil(3 * widest))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    u, v = (cosine * x + sine * y) / max(stds[0], 0.2), (cosine * y - sine * x) / max(stds[1], 0.2)
    kernel = np.exp(-(u**2 + v**2) / 2)
    return np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))
