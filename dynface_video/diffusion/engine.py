"""Continuous batching of guided sampling: a fixed number of slots, each face at its own timestep.

Starting steps differ from face to face, so a plain batch would wait for its slowest member. A slot is refilled the
moment its face is done; what a face becomes does not depend on which slot or company it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dynface_video.blur.gaussian import gaussian_blur
from dynface_video.diffusion.guidance import closed_form_guidance, guide_spectra, prior_trust, sobel_guidance_map
from dynface_video.diffusion.noise import START, NoiseKey, noise_for
from dynface_video.diffusion.prior import Denoiser
from dynface_video.diffusion.sampler import ddim_step, eta_for, renoise, timesteps_for


@dataclass(frozen=True)
class SamplingOptions:
    """How a face is sampled.

    evaluations: network evaluations for a face that starts at `reference_step` or above; in proportion below
    trust:       lambda of `rho_t = lambda abar / (1 - abar)`
    eta_scale:   1 is the paper's stochasticity, 0 deterministic DDIM
    guide_count, guide_spacing: how many guides, and by how many pixels (at 512) each is sharper than the one before
    adaptive:    weigh the guidance by the map of `sobel_guidance_map` instead of everywhere fully
    slots:       faces in one network evaluation
    """

    evaluations: int = 12
    reference_step: int = 400
    trust: float = 0.01
    eta_scale: float = 0.0
    guide_count: int = 1
    guide_spacing: float = 1.0
    adaptive: bool = False
    slots: int = 8


@dataclass(frozen=True, eq=False)
class FaceJob:
    """One face to sample.

    estimate: RM(y), (3, R, R) in [-1, 1]; blur_level: s in pixels at R; starting_step: from the DSST; key: of its noise
    """

    number: int
    estimate: Tensor
    blur_level: float
    starting_step: int
    key: NoiseKey


@dataclass(eq=False)
class _Slot:
    job: FaceJob
    timesteps: list[int]
    levels: Tensor  # (G,)
    guides: Tensor  # (G, 3, R, R)
    spectra: Tensor  # (G, 3, R, R)
    sample: Tensor  # (3, R, R)
    done: int = 0


class SamplingEngine:
    """Draws faces with a prior, many at a time."""

    def __init__(self, prior: Denoiser, options: SamplingOptions, device: torch.device) -> None:
        self.prior, self.options, self.device = prior, options, device
        self.alphas = prior.schedule.alphas_cumprod().to(device)
        self.evaluations = 0

    @torch.inference_mode()
    def run(self, jobs: Iterable[FaceJob]) -> Iterator[tuple[int, Tensor]]:
        """Yield `(job.number, face (3, R, R) in [-1, 1])` as faces finish, in no fixed order.

        A job with starting step 0 comes back as its estimate, untouched.
        """
        waiting, slots = iter(jobs), list[_Slot]()
        while True:
            while len(slots) < self.options.slots and (job := next(waiting, None)) is not None:
                slot = self._fill(job)
                if slot is None:
                    yield job.number, job.estimate
                else:
                    slots.append(slot)
            if not slots:
                return
            self._advance(slots)
            for slot in [s for s in slots if s.done == len(s.timesteps)]:
                slots.remove(slot)
                yield slot.job.number, slot.sample

    def _fill(self, job: FaceJob) -> _Slot | None:
        options = self.options
        share = min(1.0, job.starting_step / options.reference_step)
        count = min(options.evaluations, max(2, round(options.evaluations * share)))
        timesteps = timesteps_for(job.starting_step, count)
        if not timesteps or job.blur_level <= 0:
            return None
        size = job.estimate.shape[-1]
        spacing = options.guide_spacing * size / 512
        levels = torch.tensor([max(job.blur_level - i * spacing, 0.1) for i in range(options.guide_count)])
        levels = levels.to(self.device)
        estimate = job.estimate.to(self.device).float()
        guides = gaussian_blur(estimate[None].expand(len(levels), -1, -1, -1), levels)
        start_noise = noise_for(job.key, START, size).to(self.device)
        return _Slot(
            job,
            timesteps,
            levels,
            guides,
            guide_spectra(guides),
            renoise(guides[0], start_noise, self.alphas[timesteps[0]]),
        )

    def _advance(self, slots: list[_Slot]) -> None:
        """One network evaluation for every slot."""
        now = torch.tensor([s.timesteps[s.done] for s in slots], device=self.device)
        following = [s.timesteps[s.done + 1] if s.done + 1 < len(s.timesteps) else -1 for s in slots]
        next_step = torch.tensor(following, device=self.device)
        alphas_now = self.alphas[now]
        alphas_next = torch.where(next_step >= 0, self.alphas[next_step.clamp(min=0)], torch.ones_like(alphas_now))
        sample = torch.stack([s.sample for s in slots])
        levels = torch.stack([s.levels for s in slots], dim=1)
        guides = torch.stack([s.guides[0] for s in slots])
        denoised = self.prior.predict(sample, now, guides, levels[0])
        self.evaluations += len(slots)
        guided = closed_form_guidance(
            denoised,
            torch.stack([s.spectra for s in slots], dim=1),
            levels,
            torch.ones_like(levels),
            prior_trust(alphas_now, self.options.trust),
        )
        if self.options.adaptive:
            guided = denoised + sobel_guidance_map(guides) * (guided - denoised)
        eta = eta_for(levels[0], sample.shape[-1], self.options.eta_scale)
        noise = self._step_noise(slots) if self.options.eta_scale > 0 else torch.zeros_like(sample)
        column = (slice(None), None, None, None)
        moved = ddim_step(sample, guided, alphas_now[column], alphas_next[column], eta[column], noise)
        for slot, face in zip(slots, moved, strict=True):
            slot.sample = face
            slot.done += 1

    def _step_noise(self, slots: list[_Slot]) -> Tensor:
        size = slots[0].sample.shape[-1]
        return torch.stack([noise_for(s.job.key, s.done, size) for s in slots]).to(self.device)
