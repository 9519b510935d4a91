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
from training.data import FaceSet, plain_crop, sample_crop
from training.loop import Batch

UNGUIDED_SHARE = 0.15
TRAINED_LEVELS = (0.35 / 128, 6.0 / 128)
LARGEST_ESTIMATE_ERROR = 0.05
SPECTRUM_FACES = 600


class PriorTraining:
    """A `Component`: what `training.loop` needs to train the prior.

    last_timestep: one more than the highest step that is learned; levels: relative blur of the guides
    """

    name = "prior"
    levels = TRAINED_LEVELS

    def __init__(self, faces: FaceSet, network: GuidedPrior, *, last_timestep: int = 650) -> None:
        self.faces, self.network, self.last_timestep = faces, network, last_timestep
        self.schedule = NoiseSchedule()

    def build(self) -> nn.Module:
        """A freshly initialised prior that knows the faces' mean spectrum."""
        model = GuidedPrior.from_config(
            self.network.config, last_timestep=self.last_timestep, trained_levels=list(self.levels)
        )
        chosen = self.faces.indices(held_out=False)
        chosen = chosen[:: max(1, len(chosen) // SPECTRUM_FACES)]
        crops = np.stack([plain_crop(self.faces, int(i), self.network.resolution) for i in chosen])
        model.log_power.copy_(mean_log_power(torch.from_numpy(crops).permute(0, 3, 1, 2) * 2 - 1))
        return model

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Clean crops in [-1, 1], masks, levels, whether the guide is given, and the error of its estimate."""
        indices = rng.choice(self.faces.indices(held_out=held_out), size)
        if held_out:
            crops = [plain_crop(self.faces, int(i), self.network.resolution) for i in indices]
            masks = [np.ones(c.shape[:2], np.float32) for c in crops]
        else:
            drawn = [sample_crop(self.faces, int(i), self.network.resolution, rng) for i in indices]
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


def _psnr(a: Tensor, b: Tensor) -> float:
    error = (a.clamp(-1, 1) - b).square().mean(dim=(1, 2, 3))
    return float((10 * torch.log10(4 / error)).mean())
