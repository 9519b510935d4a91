"""Training of DGSA on what the sampler makes with and without guidance; all other networks stay (METHOD.md 5)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.diffusion.engine import GuidedStep
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.models.adjuster import AdjusterConfig, GuidanceAdjuster
from dynface_video.pipeline import FaceRestorer
from training.loop import Batch
from training.restoration import RestorationTraining
from training.wavelets import band_distance, texture_distance

STRENGTHS = (0.2, 1.0)
BAND_WEIGHTS = (1.0, 1.0, 1.0, 0.5)
TEXTURE_WEIGHT = 0.15
GLOBAL_SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)


class AdjusterTraining:
    """A `Component` that trains DGSA.

    A single step hardly tells full guidance from none: the prior is told the guide, too. What the one and the other
    come to at the end differs plainly. So each degraded face is restored twice from the same noise, under full guidance
    and under none, and the map, read at each step of either, is to mix the two pictures into the clean one.
    """

    name = "adjuster"

    def __init__(self, degraded_faces: RestorationTraining, restorer: FaceRestorer, network: AdjusterConfig) -> None:
        self.degraded_faces, self.network = degraded_faces, network
        self.restorer = restorer.with_settings(guidance_map="none")

    def build(self) -> nn.Module:
        """A freshly initialised DGSA."""
        return GuidanceAdjuster(self.network)

    def config(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return {"network": asdict(self.network), "band_weights": BAND_WEIGHTS, "texture_weight": TEXTURE_WEIGHT}

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """All steps of `size` degraded faces under both: what the map is told, (N, ...), and `face`, whose it is.

        clean, mask, guided and unguided pictures of the faces: (size, 3 or 1, R, R)
        """
        faces = self.degraded_faces.batch(rng, size, held_out=held_out)
        crops = ((faces["degraded"] + 1) / 2).permute(0, 2, 3, 1).numpy()
        restorer = self.restorer.with_settings(strength=0.5 if held_out else float(rng.uniform(*STRENGTHS)))
        levels, _ = restorer.estimate(crops)
        starts = np.maximum(restorer.starting_step(levels), 1)
        seed = int(rng.integers(2**31))
        keys = [NoiseKey(seed, i) for i in range(size)]
        steps: list[GuidedStep] = []
        pictures = []
        for scale in (1.0, 0.0):
            result = restorer.with_settings(guidance_scale=scale).restore(
                crops, levels, starts, keys, on_step=steps.append
            )
            pictures.append(torch.from_numpy(result.images).permute(0, 3, 1, 2) * 2 - 1)
        return {
            "clean": faces["clean"],
            "mask": faces["mask"],
            "guided": pictures[0],
            "unguided": pictures[1],
            "face": torch.tensor([number for step in steps for number in step.numbers]),
            "guide": torch.cat([step.guide for step in steps]).cpu(),
            "denoised": torch.cat([step.denoised for step in steps]).cpu(),
            "alphas_cumprod": torch.cat([step.alphas_cumprod for step in steps]).cpu(),
            "blur_level": torch.cat([step.blur_level for step in steps]).cpu(),
        }

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Distance of the mixed picture to the clean face, relative to that of full guidance."""
        return self._relative_distance(_map(model, batch), batch)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Relative distance with the map and with the best global scale; the map's mean and deviation."""
        of_scales = {scale: float(self._relative_distance(torch.tensor(scale), batch)) for scale in GLOBAL_SCALES}
        best = min(of_scales, key=of_scales.__getitem__)
        trained = _map(model, batch)
        return {
            "relative": float(self._relative_distance(trained, batch)),
            "relative_best_scale": of_scales[best],
            "best_scale": best,
            "map_mean": float(trained.mean()),
            "map_deviation": float(trained.std()),
        }

    @staticmethod
    def _relative_distance(scale: Tensor, batch: Batch) -> Tensor:
        """scale: one for all steps, or a map for each, (N, 1, R, R)."""
        clean, mask, guided, unguided = (batch[name][batch["face"]] for name in ("clean", "mask", "guided", "unguided"))
        full = _distance(guided, clean, mask).clamp(min=1e-3)
        return (_distance(unguided + scale * (guided - unguided), clean, mask) / full).mean()


def _map(model: nn.Module, batch: Batch) -> Tensor:
    scale: Tensor = model(batch["guide"], batch["denoised"], batch["alphas_cumprod"], batch["blur_level"])
    return scale


def _distance(image: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    exact = band_distance(image, clean, mask, BAND_WEIGHTS)
    return exact + TEXTURE_WEIGHT * texture_distance(image, clean, mask, len(BAND_WEIGHTS) - 1)
