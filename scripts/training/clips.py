"""Little clips of faces from single pictures: simulated motion, one degradation a clip, fresh noise a frame.

Aligned crops of a real face move by what the landmarks err (a similarity that jitters), by what the head does that a
similarity does not follow, and by expression (smooth displacements that begin somewhere and go on). The codec sees the
whole clip, so that its errors are carried from frame to frame as real ones are.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from training.data import NATIVE, FaceSet, jitter_colour, jitter_matrix, picture_mask, shrinkable
from training.degradation import (
    Degradation,
    codec_clip,
    degrade_small,
    enlarge,
    random_codec,
    training_degradation,
)

STILL_SHARE = 0.25
CODEC_SHARE = 0.5
BUMPS = 4
MEDIAN_SPEED = 1.2
"""Of what a clip's motions are scaled by; with it crops move as those of talking people do (a pixel of 128 a frame)."""
JPEG_WAVER = 3


def sample_clip(
    faces: FaceSet, index: int, size: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A clean clip under simulated motion and one jitter of geometry and colour.

    Returns (count, size, size, 3) float32 in [0, 1] and a (size, size) float32 mask, 0 where the picture was mirrored.
    """
    matrix = jitter_matrix(rng, size)
    image = shrinkable(faces.images[index], size)
    inverse = cv2.invertAffineTransform(matrix)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    frames = []
    for offset in motion(rng, count, size):
        points = np.stack([x, y], axis=-1) + offset
        source = (points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
        x_map, y_map = source[..., 0], source[..., 1]
        frames.append(cv2.remap(image, x_map, y_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))
    mask = picture_mask(faces, index, matrix, size)
    clip = np.stack(frames).astype(np.float32) / 255
    if rng.random() < 0.5:
        clip, mask = clip[:, :, ::-1], mask[:, ::-1]
    return jitter_colour(clip, rng), np.ascontiguousarray(mask)


def motion(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Displacements of every pixel in each frame of a clip, (count, size, size, 2) float32 pixels.

    A quarter of the clips is held still but for the landmarks' error; half of those do not move at all.
    """
    unit = size / NATIVE
    time = np.arange(count) - (count - 1) / 2
    y, x = np.mgrid[:size, :size].astype(np.float32)
    centred = np.stack([x, y], axis=-1) - (size - 1) / 2
    still = rng.random() < STILL_SHARE
    jitter = 0.0 if still and rng.random() < 0.5 else float(np.exp(rng.normal(np.log(0.5), 0.6)))
    speed = 0.0 if still else float(np.exp(rng.normal(np.log(MEDIAN_SPEED), 0.8)))
    field = np.zeros((count, size, size, 2), np.float32)
    velocity = speed * rng.normal(0, [unit, unit, 0.006, 0.006])
    for k, t in enumerate(time):
        dx, dy, zoom, angle = velocity * t + jitter * rng.normal(0, [unit, unit, 0.004, 0.004])
        turned = np.stack([-centred[..., 1], centred[..., 0]], axis=-1)
        field[k] = np.array([dx, dy], np.float32) + np.float32(zoom) * centred + np.float32(angle) * turned
    for _ in range(0 if still else BUMPS):
        centre, spread = rng.uniform(0.2, 0.85, 2) * size, rng.uniform(0.07, 0.25) * size
        bump = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * spread**2))[..., None]
        speed_here, swing = speed * unit * rng.normal(0, 1.5, 2), rng.uniform(0.2, 1.2)
        for k, t in enumerate(time):
            field[k] += bump * (speed_here * np.sin(swing * t) / swing).astype(np.float32)
    return field


def clip_degradation(rng: np.random.Generator) -> Degradation:
    """`training_degradation`, more often with a real codec: video has been through one."""
    degradation = training_degradation(rng)
    if degradation.codec is None and rng.random() < CODEC_SHARE:
        return replace(degradation, jpeg=None, codec=random_codec(rng))
    return degradation


def degrade_clip(clip: np.ndarray, degradation: Degradation, rng: np.random.Generator) -> np.ndarray:
    """Degrade a clip: one kernel and size, fresh noise and JPEG in each frame, one codec over all.

    clip: (T, R, R, 3) float32 in [0, 1]; returns the same shape and range.
    """
    frames = []
    for crop in clip:
        jpeg = degradation.jpeg
        if jpeg is not None:
            jpeg = int(np.clip(jpeg + rng.integers(-JPEG_WAVER, JPEG_WAVER + 1), 1, 100))
        frames.append(degrade_small(crop, replace(degradation, jpeg=jpeg, codec=None), rng))
    small = np.stack(frames)
    if degradation.codec is not None:
        small = codec_clip(small, *degradation.codec)
    return np.stack([enlarge(levels, clip.shape[1]) for levels in small])
