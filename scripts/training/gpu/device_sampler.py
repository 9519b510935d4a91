"""Two guided evaluations of the sampler for a whole batch at once, with gradients: what `SamplingEngine.unroll` does.

The engine keeps a slot for each face, which is what jobs need and what a GPU waits for. Here every face of the batch
has the same number of evaluations, and nothing comes back to the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.engine import SamplingOptions
from dynface_video.diffusion.guidance import closed_form_guidance, guide_spectra, prior_trust
from dynface_video.diffusion.levels import level_in_pixels
from dynface_video.diffusion.sampler import ddim_step, renoise
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.faces.colour import LUMINANCE
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.protocols import GuidanceMap

COLUMN = (slice(None), None, None, None)
TABLE_ENTRIES = 4096


@dataclass(frozen=True)
class StartingPoints:
    """What a batch is sampled from.

    estimate: RM's, (B, 3, R, R) in [-1, 1]; level: relative, (B,); starting_step: (B,) long, above the last evaluation;
    noise: (B, 3, R, R), of the sampler's temperature
    """

    estimate: Tensor
    level: Tensor
    starting_step: Tensor
    noise: Tensor


@dataclass(frozen=True)
class DeviceTable:
    """The starting-step table as a tensor. steps: of levels in even distances from 0 to `largest`."""

    steps: Tensor
    largest: float

    @classmethod
    def of(cls, table: StartingStepTable, device: torch.device) -> DeviceTable:
        """The table, fine enough to agree with its interpolation to a step or two."""
        largest = float(table.blur_levels[-1])
        steps = table.lookup(np.linspace(0, largest, TABLE_ENTRIES))
        last = table.schedule.num_train_timesteps - 1
        return cls(torch.from_numpy(np.minimum(steps, last)).to(device), largest)

    def lookup(self, levels: Tensor) -> Tensor:
        """Starting steps for relative levels, (B,) long."""
        index = (levels / self.largest * (TABLE_ENTRIES - 1)).round().long()
        return self.steps[index.clamp(0, TABLE_ENTRIES - 1)]


def sample_in_two(
    prior: GuidedPrior,
    start: StartingPoints,
    options: SamplingOptions,
    *,
    guidance_map: GuidanceMap | None = None,
    gradient_from: int = 1,
) -> Tensor:
    """Faces after an evaluation at their starting steps and one at `options.last_step`, guided by the closed form.

    Args:
        prior: Gradients reach it in the evaluations that are recorded.
        start: A batch.
        options: Trust, scale of the guidance, and the last step; deterministic (`eta_scale` 0), one guide.
        guidance_map: Scales the guidance from place to place.
        gradient_from: First evaluation, 0 or 1, that autograd records.

    Returns:
        (B, 3, R, R) in [-1, 1], colour from the estimates.
    """
    pixels = level_in_pixels(start.level, prior.resolution)
    guide = gaussian_blur(start.estimate, pixels)
    spectra = guide_spectra(guide[None])
    last = torch.full_like(start.starting_step, options.last_step)
    sample = renoise(guide, start.noise, prior.alphas_cumprod[start.starting_step][COLUMN])
    one = torch.ones_like(start.level)
    for number, (now, following) in enumerate(((start.starting_step, last), (last, None))):
        with torch.set_grad_enabled(number >= gradient_from and torch.is_grad_enabled()):
            alphas = prior.alphas_cumprod[now]
            denoised = prior.predict(sample, now, guide, start.level)
            trust = prior_trust(alphas, options.trust)
            target = closed_form_guidance(denoised, spectra, pixels[None], one[None], trust)
            scale = 1.0 if guidance_map is None else guidance_map(guide, denoised, alphas, start.level)
            denoised = denoised + options.guidance_scale * scale * (target - denoised)
            after = one if following is None else prior.alphas_cumprod[following]
            still = torch.zeros_like(one)[COLUMN]
            sample = ddim_step(sample, denoised, alphas[COLUMN], after[COLUMN], still, torch.zeros_like(sample))
    return luminance_of(sample, start.estimate)


def luminance_of(faces: Tensor, estimates: Tensor) -> Tensor:
    """The faces' luminance with the estimates' colour differences; see `face_sampler.with_chroma_of`."""
    weights = torch.from_numpy(LUMINANCE).to(faces)[None, :, None, None]
    return estimates + ((faces - estimates) * weights).sum(dim=1, keepdim=True)
