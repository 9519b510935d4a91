"""Training of RM: regress the clean crop from a degraded one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.blur.restoration import RestorationConfig, RestorationModel
from dynface_video.training.data import FaceSet, plain_crop, sample_crop
from dynface_video.training.degradation import STRENGTHS, degrade, evaluation_degradation, training_degradation
from dynface_video.training.loop import Batch

SMALLEST_ERROR = 1e-5


class RestorationTraining:
    """A `Component` that trains RM on synthetic degradation."""

    name = "restoration"

    def __init__(self, faces: FaceSet, network: RestorationConfig) -> None:
        self.faces, self.network = faces, network

    def build(self) -> nn.Module:
        """A freshly initialised RM."""
        return RestorationModel(self.network)

    def config(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return {"network": asdict(self.network)}

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Clean crops and degraded ones in [-1, 1]; held-out ones by the three evaluation strengths in turn."""
        indices = rng.choice(self.faces.indices(held_out=held_out), size)
        clean, degraded, masks = [], [], []
        for k, index in enumerate(indices):
            if held_out:
                crop = plain_crop(self.faces, int(index), self.network.resolution)
                mask = np.ones(crop.shape[:2], np.float32)
                degradation = evaluation_degradation(list(STRENGTHS)[k % 3], rng)
            else:
                crop, mask = sample_crop(self.faces, int(index), self.network.resolution, rng)
                degradation = training_degradation(rng)
            clean.append(crop)
            masks.append(mask)
            degraded.append(degrade(crop, degradation, rng))
        return {
            "clean": torch.from_numpy(np.stack(clean)).permute(0, 3, 1, 2) * 2 - 1,
            "degraded": torch.from_numpy(np.stack(degraded)).permute(0, 3, 1, 2) * 2 - 1,
            "mask": torch.from_numpy(np.stack(masks))[:, None],
        }

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over the crops of the logarithm of the squared error inside the picture: what PSNR counts.

        A decibel is worth the same on a mild crop as on a severe one; under a plain distance mild crops, whose errors
        are small, would hardly be learned.
        """
        restored = model(batch["degraded"]).float()
        squared = ((restored - batch["clean"]) * batch["mask"]).square().mean(dim=(1, 2, 3))
        return torch.log(squared / batch["mask"].mean(dim=(1, 2, 3)).clamp(min=0.1) + SMALLEST_ERROR).mean()

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """PSNR of RM, and its gain over the degraded crop, for each evaluation strength."""
        restored = model(batch["degraded"]).float().clamp(-1, 1)
        scores = {}
        for k, strength in enumerate(STRENGTHS):
            part = slice(k, None, 3)
            after = _psnr(restored[part], batch["clean"][part])
            scores[f"psnr_{strength}"] = after
            scores[f"gain_{strength}"] = after - _psnr(batch["degraded"][part], batch["clean"][part])
        return scores


def _psnr(a: Tensor, b: Tensor) -> float:
    return float((10 * torch.log10(4 / (a - b).square().mean(dim=(1, 2, 3)))).mean())
