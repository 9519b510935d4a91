"""Training of the prior on clean faces with guides of known blur."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.levels import level_in_pixels, relative_level
from dynface_video.diffusion.schedule import NoiseSchedule, add_noise
from dynface_video.models.prior import GUIDE_NOISE, GuidedPrior, mean_log_power
from training.data import NATIVE, FaceSet, plain_crop, sample_crop, sample_part
from training.loop import Batch

UNGUIDED_SHARE = 0.15
TRAINED_LEVELS = (0.35 / 128, 6.0 / 128)
LARGEST_ESTIMATE_ERROR = 0.05
SPECTRUM_FACES = 600
FINE_LEVELS = (0.7 / 256, 2.5 / 256)
FINE_LAST_TIMESTEP = 400
FINE_PART = 128
FINE_LARGEST_SCALE = 0.85
"""Crops that were shrunk by less show little of the finest octave that their pixels could hold."""


class PriorTraining:
    """A `Component`: what `training.loop` needs to train the prior.

    last_timestep: one more than the highest step that is learned; levels: relative blur of the guides
    """

    name = "prior"
    levels = TRAINED_LEVELS
    largest_scale = math.inf

    def __init__(self, faces: FaceSet, network: GuidedPrior, *, last_timestep: int = 650) -> None:
        self.faces, self.network, self.last_timestep = faces, network, last_timestep
        self.schedule = NoiseSchedule()

    def indices(self, *, held_out: bool) -> np.ndarray:
        """Positions of the faces that are learned from, or of those that are held out."""
        return self.faces.indices(held_out=held_out, largest_scale=self.largest_scale)

    def draw(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A training picture (S, S, 3) in [0, 1] of a face, and the mask (S, S) of where it is one."""
        return sample_crop(self.faces, index, self.network.resolution, rng)

    def draw_plain(self, index: int) -> np.ndarray:
        """A picture of a face to validate on, (S, S, 3) in [0, 1]."""
        return plain_crop(self.faces, index, self.network.resolution)

    def build(self) -> nn.Module:
        """A freshly initialised prior that knows the faces' mean spectrum."""
        model = GuidedPrior.from_config(
            self.network.config, last_timestep=self.last_timestep, trained_levels=list(self.levels)
        )
        chosen = self.indices(held_out=False)
        chosen = chosen[:: max(1, len(chosen) // SPECTRUM_FACES)]
        crops = np.stack([plain_crop(self.faces, int(i), self.network.resolution) for i in chosen])
        model.log_power.copy_(mean_log_power(torch.from_numpy(crops).permute(0, 3, 1, 2) * 2 - 1))
        return model

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Clean crops in [-1, 1], masks, levels, whether the guide is given, and the error of its estimate."""
        indices = rng.choice(self.indices(held_out=held_out), size)
        if held_out:
            crops = [self.draw_plain(int(i)) for i in indices]
            masks = [np.ones(c.shape[:2], np.float32) for c in crops]
        else:
            drawn = [self.draw(int(i), rng) for i in indices]
            crops, masks = [c for c, _ in drawn], [m for _, m in drawn]
        lowest, highest = self.levels
        levels = np.exp(rng.uniform(math.log(lowest), math.log(highest), size)).astype(np.float32)
        return {
            "clean": torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) * 2 - 1,
            "mask": torch.from_numpy(np.stack(masks))[:, None],
            "level": torch.from_numpy(levels),
            "estimate_error": torch.from_numpy(rng.uniform(0, LARGEST_ESTIMATE_ERROR, size).astype(np.float32)),
            "has_guide": torch.from_numpy((rng.random(size) >= UNGUIDED_SHARE).astype(np.float32)),
        }

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Squared error of x0 over the variance that Gaussian faces would leave: every step and level counts alike."""
        clean = batch["clean"]
        timestep = torch.randint(0, self.last_timestep, (len(clean),), generator=generator, device=clean.device)
        alphas = self.schedule.alphas_cumprod().to(clean.device)[timestep][:, None, None, None]
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        guide = self._guide(clean, batch["level"], batch["estimate_error"], generator)
        noisy = add_noise(clean, noise, alphas)
        estimate, std = model(noisy, timestep, guide, batch["level"], batch["has_guide"])
        error = (estimate - clean).square() * batch["mask"]
        return (error.mean(dim=(1, 2, 3)) / std.square().clamp(min=1e-4)).mean()

    def _guide(self, clean: Tensor, level: Tensor, estimate_error: Tensor, generator: torch.Generator) -> Tensor:
        """`G_s` of a slightly wrong face, under a little noise: what RM will hand over is not exact either."""
        with torch.autocast(clean.device.type, enabled=False):
            pixels = level_in_pixels(level, self.network.resolution)
            wrong = torch.randn(clean.shape, generator=generator, device=clean.device)
            guide = gaussian_blur(clean + estimate_error[:, None, None, None] * wrong, pixels)
            return guide + GUIDE_NOISE * torch.randn(clean.shape, generator=generator, device=clean.device)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """PSNR of the one-step estimate at some steps, with a guide of level 2 px and without one."""
        clean = batch["clean"]
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        level = torch.full((len(clean),), relative_level(2.0, self.network.resolution), device=clean.device)
        guide = self._guide(clean, level, torch.zeros_like(level), generator)
        scores = {}
        for t in (step for step in (50, 200, 400, 600) if step < self.last_timestep):
            timestep = torch.full((len(clean),), t, device=clean.device)
            alphas = self.schedule.alphas_cumprod().to(clean.device)[timestep][:, None, None, None]
            noisy = add_noise(clean, noise, alphas)
            for name, has_guide in (("guided", torch.ones_like(level)), ("free", torch.zeros_like(level))):
                estimate, _ = model(noisy, timestep, guide * has_guide[:, None, None, None], level, has_guide)
                mean, _ = model.gaussian_estimate(noisy, timestep, guide, level, has_guide)  # type: ignore[operator]
                scores[f"psnr_{name}_{t}"] = _psnr(estimate, clean)
                scores[f"gain_{name}_{t}"] = scores[f"psnr_{name}_{t}"] - _psnr(mean, clean)
        return scores


class FinePriorTraining(PriorTraining):
    """Training of the prior of the second stage, at 256 pixels, on parts of faces: its work is local."""

    name = "fine_prior"
    levels = FINE_LEVELS
    largest_scale = FINE_LARGEST_SCALE

    def __init__(self, faces: FaceSet, network: GuidedPrior, *, last_timestep: int = FINE_LAST_TIMESTEP) -> None:
        super().__init__(faces, network, last_timestep=last_timestep)

    def draw(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """See `PriorTraining.draw`."""
        return sample_part(self.faces, index, FINE_PART, rng)

    def draw_plain(self, index: int) -> np.ndarray:
        """The middle of a face."""
        first = (NATIVE - FINE_PART) // 2
        part = self.faces.images[index][first : first + FINE_PART, first : first + FINE_PART]
        return np.asarray(part, np.float32) / 255


def _psnr(a: Tensor, b: Tensor) -> float:
    error = (a.clamp(-1, 1) - b).square().mean(dim=(1, 2, 3))
    return float((10 * torch.log10(4 / error)).mean())
