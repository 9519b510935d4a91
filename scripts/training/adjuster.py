"""Training of DGSA inside the sampler that it steers: the map is judged by the faces that come out.

On a single step a prior conditioned on the guide leaves hardly anything to weigh. The effect of guidance shows in the
finished face, so the map's gradients pass through the unrolled sampler (docs/method.md 5). RM, SE and the prior stay
frozen.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.diffusion.engine import SamplingEngine
from dynface_video.models.adjuster import GuidanceAdjuster
from training.discriminator import Adversarial, PatchDiscriminator
from training.loop import Batch
from training.losses import FaceLosses, scores_by_strength
from training.sampler import SampledFaces, adversarial_loss

WITH_GRADIENT = 2
"""Evaluations whose maps are learned, counted from the last."""


class AdjusterTraining:
    """A `Component` that trains the guidance map, beside a discriminator of patches.

    Args:
        sampled: Faces, and the sampler with the prior that the map is for.
        losses: What the restored faces are judged by: those that the prior was trained by in the sampler.
        network: A map whose configuration is that of the one to train.
    """

    name = "adjuster"

    def __init__(self, sampled: SampledFaces, losses: FaceLosses, network: GuidanceAdjuster) -> None:
        self.sampled, self.losses, self.network = sampled, losses, network

    def build(self) -> Adversarial:
        """A map of one half everywhere, and an untrained discriminator."""
        return Adversarial(GuidanceAdjuster.from_config(self.network.config), PatchDiscriminator())

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """See `SampledFaces.batch`."""
        return self.sampled.batch(rng, size, held_out=held_out)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Both players' losses of the faces that come out under the map."""
        assert isinstance(model, Adversarial)
        return adversarial_loss(model, self.losses, self._sample(model, batch), batch, generator)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """See `scores_by_strength`; also the loss in its frozen parts, to compare a map with a global scale."""
        assert isinstance(model, Adversarial)
        faces = self._sample(model, batch)
        clean = batch["clean"]
        judged = self.losses.reconstruction(faces, clean) + self.losses.same_person(faces, clean, generator)
        return {"judged": float(judged)} | scores_by_strength(faces, clean, self.losses)

    def _sample(self, model: Adversarial, batch: Batch) -> Tensor:
        adjuster = model.generator
        assert isinstance(adjuster, GuidanceAdjuster)
        engine = SamplingEngine(
            self.sampled.sampler.prior, self.sampled.options, batch["clean"].device, guidance_map=adjuster
        )
        return self.sampled.sample(engine, batch, with_gradient=WITH_GRADIENT)
