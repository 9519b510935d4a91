"""Noise as a pure function of (seed, track, step) in crop coordinates (METHOD.md 7.3).

Frames of a track share their noise, whatever batch, worker or segment they are restored in: what the prior invents then
depends on the face and not on the draw, which is what keeps it from flickering.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

START = -1


@dataclass(frozen=True)
class NoiseKey:
    """Whose noise: the job's seed and the track's number."""

    seed: int
    track: int


def noise_for(key: NoiseKey, step: int, size: int) -> Tensor:
    """Standard normal noise of one face and step, (3, size, size) float32 on the CPU.

    `step` counts sampler evaluations from 0; `START` is the noise that the guide is diffused with. Philox is
    counter-based: the same key gives the same values on every platform.
    """
    sequence = np.random.SeedSequence([key.seed & 0xFFFFFFFF, key.track & 0xFFFFFFFF, step + 1])
    generator = np.random.Generator(np.random.Philox(sequence))
    return torch.from_numpy(generator.standard_normal((3, size, size), dtype=np.float32))
