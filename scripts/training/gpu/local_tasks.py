"""Training tasks of the local stages (256 and 512 pixels): RM, SE, the prior alone, and the prior in the sampler."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.models.blur_level import trusted_level
from dynface_video.models.prior import GuidedPrior
from training.blur_level import level_loss
from training.discriminator import Adversarial, PatchDiscriminator
from training.gpu.degraded_crops import DegradedCrops, LocalCrops, patch_corners
from training.gpu.device_data import cut_patches
from training.gpu.device_sampler import DeviceTable, StartingPoints, sample_in_two
from training.gpu.preset import PresetNetworks
from training.gpu.tasks import ADVERSARIAL_BETAS, PriorTask, SampledCrops, starting_points
from training.gpu.timed_loop import TaskOptions
from training.local_restoration import (
    FACE_SHARE,
    PATCH,
    PATCHES_A_CROP,
    LocalFaces,
    LocalRestorationTraining,
    face_parts,
)
from training.loop import Batch
from training.losses import FaceLosses, inside_picture
from training.prior import FinePriorTraining
from training.sampler import DENOISING_SHARE, FEW_EVALUATIONS

SIDE = 256
"""Of the crops that SE and the prior of the local stages learn from."""


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


class FinePriorTask(PriorTask):
    """The prior of the local stages as a denoiser of parts of sharp faces."""

    name = network = "fine_prior"

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops) -> None:
        self.networks, self.crops = networks, crops
        self.training = FinePriorTraining(crops.portraits.source, networks.fine_prior)

    def clean(self, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """Patches of crops of 256 pixels."""
        batch = self.crops.sharp(size, SIDE, rng, generator)
        corners = patch_corners(batch["mask"], generator)
        return {name: cut_patches(pictures, corners, PATCH) for name, pictures in batch.items()}


class LocalBlurLevelTask:
    """SE on what RM of the local stages leaves behind, on whole crops of 256 pixels."""

    name = network = "local_blur_level"
    options = TaskOptions(batch_size=64, learning_rate=3e-4, betas=(0.9, 0.999))

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops) -> None:
        self.networks, self.crops = networks, local_crops(networks, crops)

    def build(self) -> nn.Module:
        """A copy of the preset's."""
        return copy.deepcopy(self.networks.local_blur_level)

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `training.blur_level.level_loss`."""
        batch = self.crops.whole(size, SIDE, None, rng, generator)
        with torch.no_grad():
            regression = self.networks.local_restoration.regress(batch["degraded"], batch["coarse"])
            estimate = regression.estimate.float()
            with torch.autocast(estimate.device.type, enabled=False):
                level = trusted_level((estimate - batch["clean"]) * batch["mask"])
        return level_loss(model, {"degraded": regression.evidence, "estimate": estimate, "level": level})


class LocalSamplerTask:
    """The prior of the local stages as the sampler uses it, on patches of crops of 256 pixels."""

    name, network = "local_sampler", "fine_prior"
    options = TaskOptions(batch_size=96, learning_rate=2e-4, betas=ADVERSARIAL_BETAS)

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses) -> None:
        self.networks, self.losses, self.crops = networks, losses, local_crops(networks, crops)
        self.denoising, self.table = FinePriorTask(networks, crops), DeviceTable.of(networks.fine_table, crops.device)

    def build(self) -> nn.Module:
        """The prior as it was trained before, and a fresh discriminator."""
        return Adversarial(copy.deepcopy(self.networks.fine_prior), PatchDiscriminator())

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `patch_loss`; of `DENOISING_SHARE` of the batches that of a denoiser."""
        assert isinstance(model, Adversarial) and isinstance(model.generator, GuidedPrior)
        if rng.random() < DENOISING_SHARE:
            batch = self.denoising.batch(size, 0.5, rng, generator)
            return self.denoising.training.loss(model.generator, batch, generator)
        batch, start = self.batch(size, rng, generator)
        return patch_loss(model, self.losses, sample_in_two(model.generator, start, FEW_EVALUATIONS), batch)

    @torch.no_grad()
    def batch(self, size: int, rng: np.random.Generator, generator: torch.Generator) -> tuple[Batch, StartingPoints]:
        """Clean patches with masks, and what they are sampled from; levels are those of their whole crops."""
        whole = self.crops.whole(-(-size // PATCHES_A_CROP), SIDE, None, rng, generator)
        regression = self.networks.local_restoration.regress(whole["degraded"], whole["coarse"])
        estimate = regression.estimate.float().clamp(-1, 1)
        level, _ = self.networks.local_blur_level.estimate_level(regression.evidence, estimate)
        owners = torch.arange(size, device=level.device) // PATCHES_A_CROP
        corners = patch_corners(whole["mask"][owners], generator)
        pictures = {"clean": whole["clean"], "mask": whole["mask"], "estimate": estimate}
        patches = {name: cut_patches(picture[owners], corners, PATCH) for name, picture in pictures.items()}
        finest_level = self.networks.stage.config.finest_level
        start = starting_points(patches.pop("estimate"), level[owners], self.table, finest_level, generator)
        return patches, start


def local_crops(networks: PresetNetworks, crops: DegradedCrops) -> LocalCrops:
    """Crops whose coarser faces are made by the networks of the coarsest stage."""
    return LocalCrops(crops, networks.restoration, SampledCrops(networks, crops).faces)


def patch_loss(model: Adversarial, losses: FaceLosses, faces: Tensor, batch: Batch) -> Tensor:
    """Both players' losses of restored patches (B, 3, S, S) inside the picture, which show no whole face; a scalar."""
    inside = inside_picture(faces, batch["clean"], batch["mask"])
    for_generator, for_discriminator = model.losses(inside, batch["clean"])
    loss = losses.reconstruction(inside, batch["clean"])
    return loss + losses.weights.adversarial * for_generator + for_discriminator
