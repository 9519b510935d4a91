"""Made faces for the evaluation, and a restorer whose result is known."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from dynface_video.diffusion.noise import NoiseKey

SIZE = 64


SIZE = 64


@dataclass(frozen=True)
class KnowsTheTruth:
    """A restorer that mixes in the clean faces, which it recognises by their order."""

    clean: np.ndarray
    resolution: int = SIZE
    strength: float = 0.5

    def with_settings(self, **changes: Any) -> KnowsTheTruth:
        return replace(self, strength=changes.get("strength", self.strength))

    def restoration(self, crops: np.ndarray) -> np.ndarray:
        return (0.2 * crops + 0.8 * self.clean).astype(np.float32)

    def estimate(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(crops), 2.0), np.full(len(crops), 0.5)

    def starting_step(self, levels: np.ndarray) -> np.ndarray:
        return np.full(len(levels), 100)

    def restore(
        self, crops: np.ndarray, levels: np.ndarray, starting_steps: np.ndarray, noise_keys: Sequence[NoiseKey]
    ) -> Any:
        assert len({key.track for key in noise_keys}) == len(crops)
        share = 0.04 * self.strength
        images = (share * crops + (1 - share) * self.clean).astype(np.float32)
        return SimpleNamespace(images=images, unet_evaluations=12 * len(crops))


def picture(seed: int, size: int = SIZE) -> np.ndarray:
    """Something with edges and texture at every scale."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size, 3), np.float32)
    for octave in (4, 8, 16, 32, 64):
        coarse = rng.standard_normal((octave, octave, 3)).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) / octave
    return np.asarray(np.clip(0.5 + 0.8 * total, 0, 1))


def encoded(size: int = 32) -> bytes:
    return bytes(cv2.imencode(".png", np.rint(picture(0, size) * 255).astype(np.uint8))[1])


def make_tar(path: Path, count: int) -> None:
    with tarfile.open(path, "w") as tar:
        for i in range(count):
            data = encoded()
            member = tarfile.TarInfo(f"{i:05d}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
