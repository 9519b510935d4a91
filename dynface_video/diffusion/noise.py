"""Noise as a pure function of (seed, track, frame, step) in crop coordinates (docs/method.md 6).

Frames of a track share their noise, fully or in part, in every batch, worker and segment: what the prior invents then
depends on the face and not on the draw, which keeps it from flickering.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

START = -1
WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class NoiseKey:
    """What determines the noise of a face.

    Attributes:
        seed: Of the job.
        track: Number of the face.
        frame: Number of its frame; has no effect at correlation 1.
        correlation: Between the noises of two frames of a face, in [0, 1].
    """

    seed: int
    track: int
    frame: int = 0
    correlation: float = 1.0


def noise_for(key: NoiseKey, step: int, size: int) -> Tensor:
    """Standard normal noise of one face, frame and step, (3, size, size) float32 on the CPU.

    It is `sqrt(c) shared + sqrt(1 - c) own`. Philox is counter-based: the same key gives the same values on every
    platform.

    Args:
        key: Of the face.
        step: Sampler evaluation, counted from 0; `START` is the noise that the guide is diffused with.
        size: Side of the crop, pixels.
    """
    noise = np.zeros((3, size, size), np.float32)
    if key.correlation > 0:
        noise += np.float32(np.sqrt(key.correlation)) * _normal((key.seed, key.track, step + 1), size)
    if key.correlation < 1:
        own = _normal((key.seed, key.track, step + 1, key.frame + 1), size)
        noise += np.float32(np.sqrt(1 - key.correlation)) * own
    return torch.from_numpy(noise)


@lru_cache(maxsize=32)
def _normal(words: tuple[int, ...], size: int) -> np.ndarray:
    # Cached, because the frames of a face share it.
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([word & WORD for word in words])))
    return generator.standard_normal((3, size, size), dtype=np.float32)
