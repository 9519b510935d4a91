"""The guidance map's training: its transform, and that it finds where the prior is right."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynface_video.config import RestorationSettings
from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.fitting.guidance_map import band_distance, fit_guidance_map, stationary_bands
from dynface_video.fitting.pairs import Pairs
from dynface_video.stage import Sampler, Stage, StageConfig

SIZE, COUNT = 32, 24


def noise(count: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 3, SIZE, SIZE)).astype(np.float32))


def test_the_bands_add_up_and_tell_directions_apart() -> None:
    x = noise(1, 0)
    first, second, mean = stationary_bands(x)
    assert first.shape == second.shape == (1, 9, SIZE, SIZE) and mean.shape == x.shape
    rows = torch.arange(SIZE).remainder(2).float().expand(1, 3, SIZE, SIZE)
    horizontal, vertical, diagonal = (band[..., :-1, :-1] for band in stationary_bands(rows)[0].split(3, dim=1))
    assert horizontal.abs().min() == 0.5 and vertical.abs().max() == 0 == diagonal.abs().max()
    (low, detail) = stationary_bands(x, scales=1)[::-1]
    assert torch.allclose(low + detail[:, :3] + detail[:, 3:6] + detail[:, 6:], x, atol=1e-6)
    assert band_distance(x, x) == 0 < band_distance(x, x + 0.1)


class HalfRight:
    """A prior that knows the clean faces in the left half of the crop and draws nothing but grey in the right."""

    resolution = SIZE
    schedule = NoiseSchedule()

    def __init__(self, clean: Tensor) -> None:
        self.clean = clean

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, level: Tensor | None) -> Tensor:
        alphas = self.schedule.alphas_cumprod()[timestep][:, None, None, None]
        distance = ((sample[:, None] - alphas[:, None].sqrt() * self.clean[None]) ** 2).mean(dim=(2, 3, 4))
        known = self.clean[distance.argmin(dim=1)].clone()
        known[..., SIZE // 2 :] = 0
        return known


def test_the_map_is_low_where_the_prior_is_right_and_high_where_the_guide_is() -> None:
    clean = gaussian_blur(noise(COUNT, 1), torch.full((COUNT,), 0.6)).clamp(-1, 1)
    estimate = gaussian_blur(clean, torch.full((COUNT,), 1.0))
    level = torch.full((COUNT,), 1.0 / SIZE)
    pairs = Pairs(clean.half(), estimate.half(), estimate.half(), level, torch.arange(COUNT) % 6 == 0)
    table = StartingStepTable((0.001, 0.1), (100, 600), 0.01, SIZE, NoiseSchedule(), "0")
    nothing: Any = None
    sampler = Sampler(nothing, HalfRight(pairs.clean.float()), table)
    config = StageConfig(SIZE, "rm", trust=1e-4)
    stage = Stage(config, nothing, sampler, RestorationSettings(strength=0.5), torch.device("cpu"))
    seen: list[Any] = []
    fit = fit_guidance_map(pairs, stage, steps=80, batch=6, on_step=lambda done, total: seen.append(done))
    assert seen == list(range(1, 81))
    assert fit.loss < fit.global_loss
    step = torch.full((1,), 0.5)
    drawn = sampler.prior.predict(pairs.clean[:1].float(), torch.tensor([5]), None, None)
    made = fit.network(estimate[:1], drawn, step, level[:1])
    assert made[..., : SIZE // 2 - 4].mean() + 0.2 < made[..., SIZE // 2 + 4 :].mean()
