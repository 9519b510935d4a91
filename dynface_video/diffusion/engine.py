"""Continuous batching of guided sampling: a fixed number of slots, each face at its own timestep.

Starting steps differ from face to face, so a plain batch would wait for its slowest member. A slot is refilled the
moment its face is done; a face's result does not depend on its slot or on the other faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.guidance import (
    Guide,
    closed_form_guidance,
    guidance_gradient,
    guide_spectra,
    prior_trust,
)
from dynface_video.diffusion.levels import level_in_pixels, relative_level
from dynface_video.diffusion.noise import START, NoiseKey, noise_for
from dynface_video.diffusion.sampler import LAST_STEP, ddim_step, eta_for, renoise, timesteps_for

if TYPE_CHECKING:
    from dynface_video.models.protocols import Denoiser, GuidanceMap

COLUMN = (slice(None), None, None, None)
SMALLEST_REFINED_LEVEL = 0.1 / 128
"""Relative level below which Eq. 7 refines no further."""


@dataclass(frozen=True)
class SamplingOptions:
    """How a face is sampled.

    Attributes:
        num_inference_steps: Network evaluations of a face that starts at `reference_step` or above; in proportion
            below.
        reference_step: Starting step from which a face gets all evaluations.
        last_step: Timestep of the last evaluation, whose estimate is the face; for a prior that was trained by its
            finished faces, the one of its training.
        least_steps: Network evaluations that every sampled face gets.
        trust: lambda of `rho_t = lambda abar / (1 - abar)`.
        eta_scale: 1 is the paper's stochasticity, 0 deterministic DDIM.
        guidance: "closed_form", the paper's "gradient" through the network, or "none", in which the prior does not get
            the guide either.
        guidance_scale: Of the guidance everywhere (closed form: in [0, 1]), before the map; of the gradient's step.
        level_rate: Gradient mode: how fast the level in pixels at R follows its own gradient (Eq. 7); 0 keeps it.
        temperature: Std of the noise that a face begins with, 1 as trained; below, a face has less texture.
        slots: Faces in one network evaluation.
        fixed_slots: Whether every evaluation is of that many, empty slots filled with a copy of another: a face's last
            bits then do not depend on how many share its batch.
    """

    num_inference_steps: int = 12
    reference_step: int = 500
    last_step: int = LAST_STEP
    least_steps: int = 2
    trust: float = 0.01
    eta_scale: float = 0.0
    guidance: Literal["closed_form", "gradient", "none"] = "closed_form"
    guidance_scale: float = 1.0
    level_rate: float = 0.0
    temperature: float = 1.0
    slots: int = 8
    fixed_slots: bool = False


@dataclass(frozen=True, eq=False)
class FaceJob:
    """One face to sample.

    Attributes:
        number: By which the engine returns it.
        estimate: RM(y), (3, R, R) in [-1, 1].
        guides: Blurriest first, the same number for all jobs of an engine.
        starting_step: From the DSST.
        key: Of its noise.
    """

    number: int
    estimate: Tensor
    guides: tuple[Guide, ...]
    starting_step: int
    key: NoiseKey


@dataclass(frozen=True, eq=False)
class GuidedStep:
    """What one network evaluation of B faces gave, for callbacks (training of DGSA, pictures of its maps).

    Attributes:
        numbers: Of the jobs.
        timestep: (B,).
        alphas_cumprod: (B,).
        blur_level: Relative, of the blurriest guide, (B,).
        guide: The blurriest, (B, 3, R, R).
        denoised: x0, (B, 3, R, R).
        target: u, (B, 3, R, R).
        map: A_t, (B, 1, R, R).
    """

    numbers: tuple[int, ...]
    timestep: Tensor
    alphas_cumprod: Tensor
    blur_level: Tensor
    guide: Tensor
    denoised: Tensor
    target: Tensor
    map: Tensor


@dataclass(eq=False)
class _Slot:
    job: FaceJob
    timesteps: list[int]
    levels: Tensor  # (G,)
    active_from: Tensor  # (G,)
    guides: Tensor  # (G, 3, R, R)
    spectra: Tensor  # (G, 3, R, R)
    sample: Tensor  # (3, R, R)
    done: int = 0


@dataclass(frozen=True, eq=False)
class _Batch:
    """The slots side by side; B slots, G guides."""

    slots: list[_Slot]
    sample: Tensor  # (B, 3, R, R)
    timestep: Tensor  # (B,)
    alphas_now: Tensor  # (B,)
    alphas_next: Tensor  # (B,), 1 after the last step
    levels: Tensor  # (G, B)
    weights: Tensor  # (G, B), 1 where a guide is active
    guide: Tensor  # (B, 3, R, R), the blurriest
    spectra: Tensor  # (G, B, 3, R, R)


class SamplingEngine:
    """Draws faces with a prior, many at a time.

    Args:
        prior: What draws.
        options: How.
        device: Of the prior.
        guidance_map: Scales the closed form's correction at each pixel; None is a scale of 1.
        on_step: Called after every network evaluation of the closed form.
    """

    def __init__(
        self,
        prior: Denoiser,
        options: SamplingOptions,
        device: torch.device,
        *,
        guidance_map: GuidanceMap | None = None,
        on_step: Callable[[GuidedStep], None] | None = None,
    ) -> None:
        self.prior, self.options, self.device = prior, options, device
        self.guidance_map, self.on_step = guidance_map, on_step
        self.alphas = prior.schedule.alphas_cumprod().to(device)
        self.evaluations = self.calls = 0

    @torch.no_grad()
    def run(self, jobs: Iterable[FaceJob]) -> Iterator[tuple[int, Tensor]]:
        """Sample faces, each for as many evaluations as its starting step asks for.

        Args:
            jobs: Taken one by one as slots become free.

        Yields:
            The number of a job and its face, (3, R, R) in [-1, 1], as faces finish, in no fixed order. A job with
            starting step 0 gives its estimate, unchanged.
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

    def unroll(self, jobs: Sequence[FaceJob], *, with_gradient: int = 1) -> Tensor:
        """Sample all jobs side by side and let gradients reach the prior and the guidance map: training's `run`.

        Args:
            jobs: B faces; one with starting step 0 gives its estimate.
            with_gradient: Evaluations of each face, counted from its last, that autograd records.

        Returns:
            The faces (B, 3, R, R) in [-1, 1], in the order of the jobs.
        """
        with torch.no_grad():
            slots = [self._fill(job) for job in jobs]
        most = max((len(slot.timesteps) for slot in slots if slot), default=0)
        for remaining in range(most, 0, -1):
            # Aligned at their ends: a face of few evaluations begins when the others have as many left.
            with torch.set_grad_enabled(remaining <= with_gradient and torch.is_grad_enabled()):
                self._advance([slot for slot in slots if slot and len(slot.timesteps) - slot.done == remaining])
        return torch.stack([slot.sample if slot else job.estimate for slot, job in zip(slots, jobs, strict=True)])

    def _pixels(self, levels: Tensor) -> Tensor:
        # Of the prior's crop, not of what is sampled: a local prior also draws parts of a crop.
        return level_in_pixels(levels, self.prior.resolution)

    def _fill(self, job: FaceJob) -> _Slot | None:
        options = self.options
        share = min(1.0, job.starting_step / options.reference_step)
        most = options.num_inference_steps
        count = min(most, max(options.least_steps, round(most * share)))
        timesteps = timesteps_for(job.starting_step, count, options.last_step)
        if not timesteps or job.guides[0].level <= 0:
            return None
        size = job.estimate.shape[-1]
        levels = torch.tensor([guide.level for guide in job.guides], device=self.device)
        estimate = job.estimate.to(self.device).float()
        guides = gaussian_blur(estimate[None].expand(len(levels), -1, -1, -1), self._pixels(levels))
        start_noise = options.temperature * noise_for(job.key, START, size).to(self.device)
        return _Slot(
            job,
            timesteps,
            levels,
            torch.tensor([guide.active_from for guide in job.guides], device=self.device),
            guides,
            guide_spectra(guides),
            renoise(guides[0], start_noise, self.alphas[timesteps[0]]),
        )

    def _advance(self, slots: list[_Slot]) -> None:
        """One network evaluation for every slot."""
        empty = self.options.slots - len(slots) if self.options.fixed_slots else 0
        batch = self._gather(slots + slots[-1:] * empty)
        self.evaluations += len(slots)
        self.calls += 1
        if self.options.guidance == "gradient":
            moved = self._follow_gradient(batch)
        elif self.options.guidance == "none":
            moved = self._ddim(batch, self.prior.predict(batch.sample, batch.timestep, None, None))
        else:
            moved = self._ddim(batch, self._reconcile(batch))
        for slot, face in zip(slots, moved[: len(slots)], strict=True):
            slot.sample = face
            slot.done += 1

    def _gather(self, slots: list[_Slot]) -> _Batch:
        now = torch.tensor([s.timesteps[s.done] for s in slots], device=self.device)
        following = [s.timesteps[s.done + 1] if s.done + 1 < len(s.timesteps) else -1 for s in slots]
        next_step = torch.tensor(following, device=self.device)
        alphas_now = self.alphas[now]
        active = torch.stack([s.active_from for s in slots], dim=1) >= now
        # The blurriest guide is active from the start, also where its own entry of the table is lower.
        active[0] = True
        return _Batch(
            slots,
            torch.stack([s.sample for s in slots]),
            now,
            alphas_now,
            torch.where(next_step >= 0, self.alphas[next_step.clamp(min=0)], torch.ones_like(alphas_now)),
            torch.stack([s.levels for s in slots], dim=1),
            active.float(),
            torch.stack([s.guides[0] for s in slots]),
            torch.stack([s.spectra for s in slots], dim=1),
        )

    def _reconcile(self, batch: _Batch) -> Tensor:
        """The prior's estimate reconciled with the guides: `x0 + A_t (u - x0)`."""
        options, level = self.options, batch.levels[0]
        denoised = self.prior.predict(batch.sample, batch.timestep, batch.guide, level)
        rho = prior_trust(batch.alphas_now, options.trust)
        target = closed_form_guidance(denoised, batch.spectra, self._pixels(batch.levels), batch.weights, rho)
        if self.guidance_map is None:
            scale = torch.ones_like(denoised[:, :1])
        else:
            scale = self.guidance_map(batch.guide, denoised, batch.alphas_now, level)
        scale = options.guidance_scale * scale
        if self.on_step is not None:
            numbers = tuple(slot.job.number for slot in batch.slots)
            self.on_step(
                GuidedStep(numbers, batch.timestep, batch.alphas_now, level, batch.guide, denoised, target, scale)
            )
        return denoised + scale * (target - denoised)

    def _follow_gradient(self, batch: _Batch) -> Tensor:
        """The paper's update: a plain DDIM step, then against the gradient by x_t; the level moves as well (Eq. 7)."""
        options, level = self.options, batch.levels[0]
        gradient = guidance_gradient(
            lambda state: self.prior.predict(state, batch.timestep, batch.guide, level),
            batch.sample,
            batch.guide,
            self._pixels(level),
        )
        distance = gradient.distance.clamp(min=1e-6)
        step = relative_level(options.level_rate * gradient.level / distance, self.prior.resolution)
        refined = (level - step).clamp(min=SMALLEST_REFINED_LEVEL)
        for slot, value in zip(batch.slots, refined, strict=True):
            slot.levels[0] = value
        return self._ddim(batch, gradient.denoised) - options.guidance_scale * gradient.sample / distance[COLUMN]

    def _ddim(self, batch: _Batch, denoised: Tensor) -> Tensor:
        eta = eta_for(batch.levels[0], self.options.eta_scale)
        noise = torch.zeros_like(batch.sample)
        if self.options.eta_scale > 0:
            size = batch.sample.shape[-1]
            noise = torch.stack([noise_for(s.job.key, s.done, size) for s in batch.slots]).to(self.device)
        return ddim_step(
            batch.sample, denoised, batch.alphas_now[COLUMN], batch.alphas_next[COLUMN], eta[COLUMN], noise
        )
