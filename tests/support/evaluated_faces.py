"""Made faces for the evaluation, and a pipeline whose result is known."""

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
import torch
from torch import Tensor

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import to_tensor
from dynface_video.stage import Estimates, SampledFaces

SIZE = 64


@dataclass(frozen=True)
class KnowsTheTruth:
    """A pipeline of one stage that mixes in the clean faces, which it recognises by their order."""

    clean: np.ndarray
    resolution: int = SIZE
    strength: float = 0.5
    device: str = "cpu"

    @property
    def settings(self) -> Any:
        return SimpleNamespace(strength=self.strength)

    @property
    def stages(self) -> tuple[Any, ...]:
        return (self,)

    def stages_for(self, side: float) -> tuple[Any, ...]:
        return self.stages

    def with_settings(self, **changes: Any) -> KnowsTheTruth:
        return replace(self, strength=changes.get("strength", self.strength))

    def regress(self, crops: Tensor, coarse: Tensor | None = None) -> Estimates:
        return Estimates(crops, self._mixed(crops, 0.2))

    def for_pictures(self) -> KnowsTheTruth:
        return self

    def self_ensemble(self, estimates: Estimates, *read: Tensor | None) -> Tensor:
        return estimates.estimate

    def estimate_levels(self, estimates: Estimates) -> tuple[Tensor, Tensor]:
        count = len(estimates.estimate)
        return torch.full((count,), 2 / 128), torch.full((count,), 0.5)

    def restore_crops(
        self, stages: Sequence[Any], crops: Sequence[Tensor], noise_keys: Sequence[NoiseKey], **how: Any
    ) -> SampledFaces:
        assert len({key.track for key in noise_keys}) == len(crops[0])
        return SampledFaces(self._mixed(crops[0], 0.04 * self.strength), 12 * len(crops[0]))

    def _mixed(self, crops: Tensor, share: float) -> Tensor:
        return share * crops + (1 - share) * to_tensor(self.clean)


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
