"""Fitting DGSA to a prior: where its estimate may keep what it drew, and where the guide rules (docs/method.md 5).

The paper's recipe: at a random step the guided estimate `x0 + A_t (u - x0)` is compared with the clean face in the
bands of a stationary wavelet transform; prior, RM and SE are frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.guidance import closed_form_guidance, guide_spectra, prior_trust
from dynface_video.diffusion.levels import level_in_pixels
from dynface_video.diffusion.schedule import add_noise
from dynface_video.fitting.pairs import Pairs
from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.stage import Stage

LEARNING_RATE = 1e-3
BAND_WEIGHTS = (1.0, 2.0)
"""Of the L1 distance of the mean, and of the three bands of detail at each scale."""
SCALES = 2


@dataclass(frozen=True)
class MapFit:
    """What was fitted.

    Attributes:
        network: The map.
        loss: On the held-out pairs.
        global_loss: With the best scale that is the same everywhere, for comparison.
        global_scale: That scale.
    """

    network: GuidanceAdjuster
    loss: float
    global_loss: float
    global_scale: float


@dataclass(frozen=True, eq=False)
class _Step:
    """One random step of B faces: what the map sees, and what it weighs."""

    clean: Tensor
    guide: Tensor
    denoised: Tensor
    target: Tensor
    alphas: Tensor
    level: Tensor


def fit_guidance_map(
    pairs: Pairs,
    stage: Stage,
    *,
    steps: int = 400,
    batch: int = 2,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> MapFit:
    """Train a map on pairs of the stage's RM.

    Args:
        pairs: See `make_pairs`.
        stage: Its prior, table and trust.
        steps: Of the training.
        batch: Faces a step; each costs one evaluation of the prior.
        seed: Of everything.
        on_step: Called with the number of steps done and in all.
    """
    rng = np.random.default_rng(seed)
    trained, held_out = (torch.nonzero(mask).flatten().numpy() for mask in (~pairs.held_out, pairs.held_out))
    network = GuidanceAdjuster(unshuffle=max(1, stage.resolution // 32)).to(stage.device)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    for number in range(steps):
        step = _draw(stage, pairs, rng.choice(trained, min(batch, len(trained)), replace=False), rng)
        loss = band_distance(_guided(step, _map(network, step)), step.clean)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(number + 1, steps)
    network.eval().requires_grad_(False)
    drawn = [_draw(stage, pairs, rows, rng) for rows in np.array_split(held_out, -(-len(held_out) // batch))]
    losses = {
        scale: _mean([band_distance(_guided(s, scale), s.clean) for s in drawn]) for scale in np.arange(0, 1.1, 0.25)
    }
    best = min(losses, key=lambda scale: losses[scale])
    fitted = _mean([band_distance(_guided(s, _map(network, s)), s.clean) for s in drawn])
    return MapFit(network, fitted, losses[best], float(best))


def stationary_bands(x: Tensor, scales: int = SCALES) -> list[Tensor]:
    """The stationary Haar transform.

    Args:
        x: (B, C, H, W).
        scales: Number of scales of detail.

    Returns:
        For each scale its horizontal, vertical and diagonal detail, (B, 3 C, H, W), then the mean, (B, C, H, W).

    Convention:
        Taps at distance 1, 2, 4, ... (a trous), half-sample reflecting borders at the right and the bottom.
    """
    bands = list[Tensor]()
    for scale in range(scales):
        gap = 1 << scale
        low, high = _haar(x, gap, dim=-1)
        (x, vertical), (horizontal, diagonal) = _haar(low, gap, dim=-2), _haar(high, gap, dim=-2)
        bands.append(torch.cat([horizontal, vertical, diagonal], dim=1))
    return [*bands, x]


def band_distance(restored: Tensor, clean: Tensor) -> Tensor:
    """Weighted L1 distance of the bands of two pictures, a scalar."""
    *detail, mean = [(a - b).abs().mean() for a, b in zip(*map(stationary_bands, (restored, clean)), strict=True)]
    return BAND_WEIGHTS[0] * mean + BAND_WEIGHTS[1] * torch.stack(detail).sum()


def _haar(x: Tensor, gap: int, *, dim: int) -> tuple[Tensor, Tensor]:
    pad = (0, gap, 0, 0) if dim == -1 else (0, 0, 0, gap)
    size = x.shape[dim]
    other = functional.pad(x, pad, mode="replicate").narrow(dim, gap, size)
    return (x + other) / 2, (x - other) / 2


@torch.no_grad()
def _draw(stage: Stage, pairs: Pairs, rows: np.ndarray, rng: np.random.Generator) -> _Step:
    """Faces on their way down from their starting steps, at a random step each."""
    sampler = stage.sampler
    assert sampler is not None
    clean, estimate = (part[rows].to(stage.device).float() for part in (pairs.clean, pairs.estimate))
    # The sampler's own levels; a face that is sharp already has no steps to weigh.
    used = np.maximum(
        stage.effective_blur_levels(pairs.level[rows].double().numpy()), sampler.starting_steps.blur_levels[0]
    )
    level = torch.from_numpy(used).float().to(stage.device)
    last = stage.config.last_step
    starts = np.maximum(sampler.starting_steps.lookup(used), last + 1)
    timestep = torch.from_numpy(rng.integers(last, np.minimum(starts, 998), endpoint=True)).to(stage.device)
    alphas = sampler.prior.schedule.alphas_cumprod().to(stage.device)[timestep]
    noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(stage.device)
    pixels = level_in_pixels(level, stage.resolution)
    guide = gaussian_blur(estimate, pixels)
    state = add_noise(clean, noise, alphas[:, None, None, None])
    denoised = sampler.prior.predict(state, timestep, guide, level).float()
    rho = prior_trust(alphas, stage.sampling_options().trust)
    ones = torch.ones(1, len(rows), device=stage.device)
    target = closed_form_guidance(denoised, guide_spectra(guide[None]), pixels[None], ones, rho)
    return _Step(clean, guide, denoised, target, alphas, level)


def _map(network: GuidanceAdjuster, step: _Step) -> Tensor:
    made: Tensor = network(step.guide, step.denoised, step.alphas, step.level)
    return made


def _guided(step: _Step, scale: Tensor | float) -> Tensor:
    return step.denoised + scale * (step.target - step.denoised)


def _mean(losses: list[Tensor]) -> float:
    return float(torch.stack(losses).mean())
