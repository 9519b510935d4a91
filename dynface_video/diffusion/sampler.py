"""One step of the guided DDIM sampler; every face of the batch is at a timestep of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from dynface_video.diffusion.levels import PAPER_RESOLUTION, level_in_pixels

SPACING = 2.0
LAST_STEP = 2


def timesteps_for(starting_step: int, evaluations: int, last_step: int = LAST_STEP) -> list[int]:
    """The DDIM timesteps of one face: at most `evaluations` of them, from `starting_step` down to `last_step`.

    `t_k = last + (start - last) ((n - 1 - k) / (n - 1))^2`: they lie closer as the state clears (as Karras et al. 2022
    space noise levels). The picture is the estimate at the last of them, whatever their number: evenly spaced, that one
    would lie at `start / n`, where noise still hides the finest detail and a denoiser trained by squared error smooths
    it away. A face that starts low has fewer: no two are the same.

    Args:
        starting_step: Of the face, from the DSST; 0 yields no timesteps.
        evaluations: Largest number of timesteps.
        last_step: Timestep whose estimate is the face; a face that starts at or below it has one timestep, its start.

    Returns:
        Timesteps, strictly falling.
    """
    if starting_step <= last_step:
        return [starting_step] if starting_step > 0 else []
    count = min(evaluations, starting_step)
    if count < 2:
        return [starting_step]
    way = starting_step - last_step
    spaced = {last_step + round(way * ((count - 1 - k) / (count - 1)) ** SPACING) for k in range(count)}
    return sorted(spaced, reverse=True)


def ddim_step(
    sample: Tensor, denoised: Tensor, alphas_now: Tensor, alphas_next: Tensor, eta: Tensor, noise: Tensor
) -> Tensor:
    """`x_t` to `x_{t'}` (Song et al. 2021, eq. 12) given the guided clean estimate.

    Args:
        sample: x_t, (B, 3, R, R).
        denoised: The guided clean estimate, (B, 3, R, R).
        alphas_now: abar at t, broadcastable.
        alphas_next: abar at t', 1 at the end, broadcastable.
        eta: Stochasticity, 0 deterministic, broadcastable.
        noise: Standard normal, (B, 3, R, R).
    """
    direction = (sample - alphas_now.sqrt() * denoised) / (1 - alphas_now).sqrt()
    sigma = eta * ((1 - alphas_next) / (1 - alphas_now) * (1 - alphas_now / alphas_next)).clamp(min=0).sqrt()
    towards = (1 - alphas_next - sigma**2).clamp(min=0).sqrt()
    return alphas_next.sqrt() * denoised + towards * direction + sigma * noise


def eta_for(blur_level: Tensor, scale: float) -> Tensor:
    """`eta = scale * s / 10` with s in pixels at 512, clamped to [0, 1] (the authors' README; scale 1 is theirs).

    Args:
        blur_level: Relative, (B,).
        scale: Of the paper's stochasticity.
    """
    return (scale * level_in_pixels(blur_level, PAPER_RESOLUTION) / 10).clamp(0, 1)


def renoise(guide: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The state that sampling starts from: the guide diffused to its starting step.

    Args:
        guide: (..., 3, R, R) in [-1, 1].
        noise: As `guide`.
        alphas_cumprod: abar at the starting step, broadcastable.
    """
    return alphas_cumprod.sqrt() * guide + torch.sqrt(1 - alphas_cumprod) * noise
