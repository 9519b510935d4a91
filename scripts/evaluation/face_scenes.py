"""Clips whose faces are known exactly: heads from aligned crops that move, cross, hide, and are cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dynface_video.faces.landmarks import face_square
from training.crowds import HEAD_SHARE, warp
from training.degradation import STRENGTHS, Degradation, evaluation_degradation

WIDTH, HEIGHT = 640, 360
KINDS = ("moving", "crossing", "occluded", "cut", "still")
PER_FRAME_SCALE = 4
"""The protocol's lengths are for a face at 512 pixels; a face is a part of a frame."""


@dataclass(frozen=True)
class Head:
    """An aligned crop to be pasted: picture (S, S, 3) uint8, landmarks (5, 2) in its pixels."""

    picture: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class FaceScene:
    """A clip and the truth about it.

    frames:  (T, H, W, 3) uint8; cuts: first frames of shots
    truth:   (T, N, 5, 2) float64 landmarks, NaN where a face is not in the clip; visible: (T, N) bool
    """

    frames: np.ndarray
    cuts: tuple[int, ...]
    truth: np.ndarray
    visible: np.ndarray


def make_scene(
    kind: str, heads: list[Head], backgrounds: list[np.ndarray], rng: np.random.Generator, *, length: int = 60
) -> FaceScene:
    """A clip of one of `KINDS` with three heads (two that cross; one that is still), drawn at random."""
    count = {"crossing": 2, "still": 1}.get(kind, 3)
    chosen = [heads[i] for i in rng.choice(len(heads), count, replace=False)]
    poses = np.stack([_path(kind, i, length, rng) for i in range(count)], axis=1)  # (T, N, 4): x, y, side, angle
    cut = length // 2 if kind == "cut" else length
    views = [cv2.resize(backgrounds[i], (WIDTH, HEIGHT)) for i in rng.choice(len(backgrounds), 2)]
    frames, truth = [], np.full((length, count, 5, 2), np.nan)
    visible = np.ones((length, count), bool)
    bar = rng.uniform(0.4, 0.6) * WIDTH if kind == "occluded" else None
    for t in range(length):
        shot = int(t >= cut)
        picture = views[shot].copy()
        order = range(count) if shot == 0 else reversed(range(count))
        for i in order:
            truth[t, i] = _paste(picture, chosen[i], poses[t, i])
        if bar is not None:
            cv2.rectangle(picture, (int(bar), 0), (int(bar) + 60, HEIGHT), (70, 80, 60), -1)
        visible[t] = _visible(truth[t], bar, list(order) if shot == 0 else list(reversed(range(count))))
        frames.append(picture)
    return FaceScene(np.stack(frames), (0, cut) if cut < length else (0,), truth, visible)


def _path(kind: str, index: int, length: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(length)
    side = rng.uniform(50, 100) * np.exp(0.15 * np.sin(time / rng.uniform(12, 25)))
    angle = rng.uniform(-10, 10) + 6 * np.sin(time / rng.uniform(8, 20))
    x = (index + 0.5) / 3 * WIDTH + 45 * np.sin(time / rng.uniform(9, 18) + rng.uniform(0, 6))
    y = 0.5 * HEIGHT + 50 * np.sin(time / rng.uniform(9, 18) + rng.uniform(0, 6))
    if kind == "crossing":
        ends = (0.15 * WIDTH, 0.85 * WIDTH) if index == 0 else (0.85 * WIDTH, 0.15 * WIDTH)
        x, y = np.linspace(*ends, length), np.full(length, 0.5 * HEIGHT + 12 * index)
        side = np.full(length, rng.uniform(65, 90))
    if kind == "occluded" and index == 1:
        x = np.linspace(0.2 * WIDTH, 0.8 * WIDTH, length)
    if kind == "cut":
        # The second shot shows the same people elsewhere.
        x = np.where(time < length // 2, x, (x + WIDTH / 3) % WIDTH)
    if kind == "still":
        x, y, side, angle = (np.full(length, v) for v in (WIDTH / 2, HEIGHT / 2, 140.0, 4.0))
    return np.stack(np.broadcast_arrays(x, y, side, angle), axis=1)


def _paste(picture: np.ndarray, head: Head, pose: np.ndarray) -> np.ndarray:
    """Paste the head at x, y, side of its face, angle in degrees; returns its landmarks there."""
    size = head.picture.shape[0]
    square, middle = face_square(head.landmarks), (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), pose[3], pose[2] / square.side)
    matrix[:, 2] += pose[:2] - middle
    shown = warp(head.picture, matrix, WIDTH, HEIGHT).astype(np.float32)
    mask = warp(_head_mask(size), matrix, WIDTH, HEIGHT, border=cv2.BORDER_CONSTANT)[..., None] / np.float32(255)
    picture[:] = (mask * shown + (1 - mask) * picture).astype(np.uint8)
    return np.asarray(head.landmarks @ matrix[:, :2].T + matrix[:, 2])


def _head_mask(size: int) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * 2 / size - 1
    distance = np.hypot(x / HEAD_SHARE, (y + 0.05) / 0.9)
    return np.asarray(255 * np.clip((1.08 - distance) / 0.14, 0, 1), np.uint8)


def _visible(points: np.ndarray, bar: float | None, order: list[int]) -> np.ndarray:
    """Whether each face's middle is neither behind the bar, nor behind a head pasted later, nor out of the picture."""
    centres, sides = points.mean(axis=1), np.array([face_square(p).side for p in points])
    seen = ((centres > 0) & (centres < [WIDTH, HEIGHT])).all(axis=1)
    for place, i in enumerate(order):
        hidden = any(np.hypot(*(centres[i] - centres[j])) < 0.75 * sides[j] for j in order[place + 1 :])
        behind = bar is not None and bar - 0.35 * sides[i] < centres[i, 0] < bar + 60 + 0.35 * sides[i]
        seen[i] &= not (hidden or behind)
    return np.asarray(seen)


def degraded_clip(frames: np.ndarray, strength: str, rng: np.random.Generator) -> np.ndarray:
    """A clip (T, H, W, 3) uint8 under one draw of the protocol, with noise and compression anew in every frame."""
    if strength not in STRENGTHS:
        return frames
    drawn = evaluation_degradation(strength, rng)
    return np.stack([degraded_frame(frame, drawn, rng) for frame in frames])


def degraded_frame(picture: np.ndarray, drawn: Degradation, rng: np.random.Generator) -> np.ndarray:
    """A frame (H, W, 3) uint8 under a degradation, taken at a quarter of its lengths: a face is a part of a frame."""
    height, width = picture.shape[:2]
    drawn = replace(drawn, blur_x=max(0.3, drawn.blur_x / PER_FRAME_SCALE))
    scale = 1 / max(1.0, drawn.downscale / PER_FRAME_SCALE)
    small = cv2.GaussianBlur(picture, (0, 0), drawn.blur_x)
    small = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    noisy = np.clip(small + rng.normal(0, drawn.noise, small.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, drawn.jpeg or 90])
    return cv2.resize(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), (width, height), interpolation=cv2.INTER_CUBIC)
