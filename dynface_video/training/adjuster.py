"""Training of DGSA on the sampler's own steps: prior, RM and SE stay as they are (METHOD.md 5)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.diffusion.adjuster import AdjusterConfig, GuidanceAdjuster
from dynface_video.diffusion.engine import GuidedStep
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.restorer import FaceRestorer
from dynface_video.training.loop import Batch
from dynface_video.training.restoration import RestorationTraining
from dynface_video.training.wavelets import band_distance, texture_distance

STRENGTHS = (0.2, 1.0)
BAND_WEIGHTS = (1.0, 1.0, 1.0, 0.5)
TEXTURE_WEIGHT = 1.0
GLOBAL_SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)


class AdjusterTraining:
    """A `Component` that trains DGSA.

    A batch is what the sampler meets: degraded faces are restored at random strengths under full guidance, and every
    step of every face (guide, `x0`, the closed form's u, the step) is kept with the clean face. States that were
    diffused from the clean face instead would know more than the sampler does and make the guide look worthless.
    """

    name = "adjuster"

    def __init__(self, degraded_faces: RestorationTraining, restorer: FaceRestorer, network: AdjusterConfig) -> None:
        self.degraded_faces, self.network = degraded_faces, network
        self.restorer = restorer.varied(guidance_map="none")

    def build(self) -> nn.Module:
        """A freshly initialised DGSA."""
        return GuidanceAdjuster(self.network)

    def config(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return {"network": asdict(self.network), "band_weights": BAND_WEIGHTS, "texture_weight": TEXTURE_WEIGHT}

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """`size` degraded faces; (N, ...) steps of them, N several times `size`."""
        faces = self.degraded_faces.batch(rng, size, held_out=held_out)
        crops = ((faces["degraded"] + 1) / 2).permute(0, 2, 3, 1).numpy()
        restorer = self.restorer.varied(strength=0.5 if held_out else float(rng.uniform(*STRENGTHS)))
        levels, _ = restorer.estimate(crops)
        seed = int(rng.integers(2**31))
        steps: list[GuidedStep] = []
        keys = [NoiseKey(seed, i) for i in range(size)]
        restorer.restore(crops, levels, np.maximum(restorer.starting_step(levels), 1), keys, on_step=steps.append)
        numbers = torch.tensor([number for step in steps for number in step.numbers])
        return {
            "clean": faces["clean"][numbers],
            "mask": faces["mask"][numbers],
            "guide": torch.cat([step.guide for step in steps]).cpu(),
            "denoised": torch.cat([step.denoised for step in steps]).cpu(),
            "target": torch.cat([step.target for step in steps]).cpu(),
            "alphas_cumprod": torch.cat([step.alphas_cumprod for step in steps]).cpu(),
            "blur_level": torch.cat([step.blur_level for step in steps]).cpu(),
        }

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Distance of the guided estimate to the clean face, relative to what full guidance leaves."""
        guided = _guided(batch, self._map(model, batch))
        return (self._distance(guided, batch) / self._distance(batch["target"], batch).clamp(min=1e-3)).mean()

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Relative distance with the map and with the best global scale; the map's mean and deviation."""
        full = self._distance(batch["target"], batch).clamp(min=1e-3)
        scales = {scale: self._distance(_guided(batch, torch.tensor(scale)), batch) for scale in GLOBAL_SCALES}
        best = min(GLOBAL_SCALES, key=lambda scale: float((scales[scale] / full).mean()))
        trained = self._map(model, batch)
        return {
            "relative": float((self._distance(_guided(batch, trained), batch) / full).mean()),
            "relative_best_scale": float((scales[best] / full).mean()),
            "best_scale": best,
            "map_mean": float(trained.mean()),
            "map_deviation": float(trained.std()),
        }

    @staticmethod
    def _map(model: nn.Module, batch: Batch) -> Tensor:
        scale: Tensor = model(batch["guide"], batch["denoised"], batch["alphas_cumprod"], batch["blur_level"])
        return scale

    @staticmethod
    def _distance(image: Tensor, batch: Batch) -> Tensor:
        clean, mask = batch["clean"], batch["mask"]
        exact = band_distance(image, clean, mask, BAND_WEIGHTS)
        return exact + TEXTURE_WEIGHT * texture_distance(image, clean, mask, BAND_WEIGHTS)


def _guided(batch: Batch, scale: Tensor) -> Tensor:
    return batch["denoised"] + scale * (batch["target"] - batch["denoised"])
