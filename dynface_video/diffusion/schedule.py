"""The forward process shared by training and sampling: DDPM with linear betas (docs/method.md 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseSchedule:
    """Linear beta schedule.

    Step 0 is the cleanest, `num_train_timesteps - 1` the noisiest, as in diffusers.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def alphas_cumprod(self) -> Tensor:
        """abar_t, (num_train_timesteps,) float32, falling from nearly 1 to nearly 0."""
        betas = torch.linspace(self.beta_start, self.beta_end, self.num_train_timesteps, dtype=torch.float64)
        return torch.cumprod(1.0 - betas, dim=0).float()


def add_noise(sample: Tensor, noise: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """`x_t = sqrt(abar) x + sqrt(1 - abar) eps` (DDPM eq. 4); `alphas_cumprod` broadcasts against (B, C, R, R)."""
    return alphas_cumprod.sqrt() * sample + (1 - alphas_cumprod).sqrt() * noise
