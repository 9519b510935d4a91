"""Training tasks of RM of the local stages, 256 and 512 pixels."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from training.discriminator import Adversarial, PatchDiscriminator
from training.gpu.degraded_crops import DegradedCrops, LocalCrops
from training.gpu.preset import PresetNetworks
from training.gpu.tasks import ADVERSARIAL_BETAS, SampledCrops
from training.gpu.timed_loop import TaskOptions
from training.local_restoration import FACE_SHARE, LocalFaces, LocalRestorationTraining, face_parts
from training.losses import FaceLosses

SIDE = 256
"""Pixels of a side of whole faces, of which a batch holds half as many as of patches."""


class LocalRestorationTask:
    """RM of the stage of 256 pixels, beside a discriminator of patches."""

    name = network = "local_restoration"
    options = TaskOptions(batch_size=256, learning_rate=3e-4, betas=ADVERSARIAL_BETAS)
    side = 256

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses) -> None:
        self.networks, self.crops = networks, local_crops(networks, crops)
        faces = LocalFaces(crops.portraits.source, crops.large.source)
        self.training = LocalRestorationTraining(faces, networks.restoration, losses)

    def build(self) -> nn.Module:
        """A copy of the preset's, and a fresh discriminator."""
        return Adversarial(copy.deepcopy(getattr(self.networks, self.network)), PatchDiscriminator())

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `LocalRestorationTraining.loss`: patches, or whole faces, of which as many are fewer pixels."""
        assert isinstance(model, Adversarial)
        below = self.networks.local_restoration
        if rng.random() < FACE_SHARE:
            count = max(1, size * SIDE**2 // (2 * self.side**2))
            batch = face_parts(self.crops.whole(count, self.side, below, rng, generator))
        else:
            batch = self.crops.patches(size, self.side, below, rng, generator)
        return self.training.loss(model, batch, generator)


class FineRestorationTask(LocalRestorationTask):
    """RM of the stage of 512 pixels, which is larger than that of 256 and reads its faces."""

    name = network = "fine_restoration"
    options = TaskOptions(batch_size=192, learning_rate=4e-4, betas=ADVERSARIAL_BETAS)
    side = 512


def local_crops(networks: PresetNetworks, crops: DegradedCrops) -> LocalCrops:
    """Crops whose coarser faces are made by the networks of the coarsest stage."""
    return LocalCrops(crops, networks.restoration, SampledCrops(networks, crops).faces)
