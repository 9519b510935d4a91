"""Training of the prior inside the sampler: its last evaluations, with losses on the sampled faces.

A denoiser that was trained by squared error alone leaves grain or blur in few evaluations. Here the guided sampler runs
as in the pipeline, from the DSST's start to its last step, and what it gives is compared with the clean face
(docs/method.md 4; one-step restorers are trained the same way, OSDFace, arXiv 2411.17163). RM and SE stay frozen.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.diffusion.engine import FaceJob, SamplingEngine, SamplingOptions
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.face_sampler import with_chroma_of
from dynface_video.models.prior import GuidedPrior
from dynface_video.stage import Stage
from training.discriminator import Adversarial, PatchDiscriminator
from training.loop import Batch
from training.losses import FaceLosses, LossWeights, inside_picture, scores_by_strength
from training.prior import PriorTraining
from training.restoration import RestorationTraining

TRAINED_STRENGTHS = (0.4, 1.0)
VALIDATED_STRENGTH = 0.6
DENOISING_SHARE = 0.15
"""Of the batches: clean faces under noise, half of them without a guide, so that the prior stays one."""
WITH_GRADIENT = 1
FEW_EVALUATIONS = SamplingOptions(num_inference_steps=2, last_step=60, trust=0.1, temperature=0.8)
"""How the prior is used where it was trained in the sampler."""
SAMPLER_LOSS = LossWeights(identity=1.0, adversarial=0.07)
"""More weight of identity, 1.5 on chips that were always the same, pleased the identity network alone: every distance
fell, and bright squiggles appeared at the bridge of the nose."""


class SampledFaces:
    """Degraded faces with all inputs of the sampler, and the sampler that gradients pass through.

    Args:
        degraded_faces: Clean crops and what degradation leaves of them.
        stage: RM, SE, the prior and its starting-step table; its settings give the guides.
        options: Of the sampler.
    """

    def __init__(self, degraded_faces: RestorationTraining, stage: Stage, options: SamplingOptions) -> None:
        if stage.sampler is None:
            raise ValueError(f"the stage of {stage.resolution} pixels has no sampler to train")
        self.degraded_faces, self.stage, self.options = degraded_faces, stage, options
        self.sampler = stage.sampler

    @torch.no_grad()
    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Clean crops and RM's estimates (B, 3, R, R) in [-1, 1], masks, and each face's level, step and noise seed."""
        faces = self.degraded_faces.batch(rng, size, held_out=held_out)
        estimates = self.stage.regress((faces["degraded"] + 1) / 2)
        levels = self.stage.estimate_levels(estimates)[0].double().numpy()
        strengths = np.full(size, VALIDATED_STRENGTH) if held_out else rng.uniform(*TRAINED_STRENGTHS, size)
        used, steps = np.zeros(size), np.zeros(size, np.int64)
        for i, strength in enumerate(strengths):
            settings = self.stage.settings.model_copy(update={"strength": float(strength)})
            stage = self.stage.with_settings(settings)
            used[i] = stage.effective_blur_levels(levels[i : i + 1])[0]
            steps[i] = stage.starting_steps(levels[i : i + 1])[0]
        return {
            "clean": faces["clean"],
            "mask": faces["mask"],
            "estimate": 2 * estimates.estimate - 1,
            "level": torch.from_numpy(used),
            "starting_step": torch.from_numpy(steps),
            "noise_seed": torch.from_numpy(rng.integers(2**31, size=size)),
        }

    def sample(self, engine: SamplingEngine, batch: Batch, *, with_gradient: int = WITH_GRADIENT) -> Tensor:
        """The faces (B, 3, R, R) in [-1, 1] that the pipeline would give, attached to the engine's networks."""
        columns = (batch["level"].tolist(), batch["starting_step"].tolist(), batch["noise_seed"].tolist())
        jobs = [
            FaceJob(i, estimate, self.stage.guides(level, step), step, NoiseKey(seed, i))
            for i, (estimate, level, step, seed) in enumerate(zip(batch["estimate"], *columns, strict=True))
        ]
        faces = engine.unroll(jobs, with_gradient=with_gradient)
        return torch.stack([with_chroma_of(face, job.estimate) for face, job in zip(faces, jobs, strict=True)])


class SamplerTraining:
    """A `Component` that trains the prior inside the sampler, beside a discriminator of patches.

    Args:
        sampled: Faces and sampler.
        losses: What the restored faces are judged by.
        denoising: The prior's ordinary training, a share of the batches.
    """

    name = "sampler"

    def __init__(self, sampled: SampledFaces, losses: FaceLosses, denoising: PriorTraining) -> None:
        self.sampled, self.losses, self.denoising = sampled, losses, denoising

    def build(self) -> Adversarial:
        """The stage's prior, and an untrained discriminator."""
        prior = copy.deepcopy(self.sampled.sampler.prior)
        assert isinstance(prior, nn.Module)
        prior.requires_grad_(True)
        return Adversarial(prior, PatchDiscriminator())

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Faces to sample, or of `DENOISING_SHARE` of the training batches clean faces to denoise."""
        if held_out or rng.random() >= DENOISING_SHARE:
            return self.sampled.batch(rng, size, held_out=held_out)
        batch = self.denoising.batch(rng, size, held_out=False)
        batch["has_guide"] = torch.from_numpy((rng.random(size) < 0.5).astype(np.float32))
        return batch

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Of the restored faces: both players' losses in one sum. Of noisy faces: the prior's own."""
        assert isinstance(model, Adversarial)
        if "estimate" not in batch:
            return self.denoising.loss(model.generator, batch, generator)
        return adversarial_loss(model, self.losses, self._sample(model, batch), batch, generator)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """See `scores_by_strength`."""
        assert isinstance(model, Adversarial)
        return scores_by_strength(self._sample(model, batch), batch["clean"], self.losses)

    def _sample(self, model: Adversarial, batch: Batch) -> Tensor:
        prior = model.generator
        assert isinstance(prior, GuidedPrior)
        return self.sampled.sample(SamplingEngine(prior, self.sampled.options, batch["clean"].device), batch)


def adversarial_loss(
    model: Adversarial, losses: FaceLosses, faces: Tensor, batch: Batch, generator: torch.Generator
) -> Tensor:
    """The sum of both players' losses, a scalar, of restored faces (B, 3, R, R) inside the picture."""
    clean = batch["clean"]
    inside = inside_picture(faces, clean, batch["mask"])
    for_generator, for_discriminator = model.losses(inside, clean)
    loss = losses.reconstruction(inside, clean) + losses.same_person(inside, clean, generator)
    return loss + losses.weights.adversarial * for_generator + for_discriminator
