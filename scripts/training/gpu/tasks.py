"""The networks of the coarsest stage as tasks: the losses of `training`, on batches that the device makes."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.models.blur_level import trusted_level
from dynface_video.models.prior import GuidedPrior
from training.blur_level import level_loss
from training.discriminator import Adversarial, PatchDiscriminator
from training.gpu.degraded_crops import COARSEST, DegradedCrops
from training.gpu.device_sampler import DeviceTable, StartingPoints, sample_in_two
from training.gpu.preset import PresetNetworks
from training.gpu.timed_loop import TaskOptions
from training.loop import Batch
from training.losses import FaceLosses
from training.prior import LARGEST_ESTIMATE_ERROR, UNGUIDED_SHARE, PriorTraining
from training.restoration import ALONE_SHARE, faces_loss
from training.sampler import DENOISING_SHARE, FEW_EVALUATIONS, TRAINED_STRENGTHS, adversarial_loss

ADVERSARIAL_BETAS = (0.5, 0.99)


class RestorationTask:
    """RM of the coarsest stage by the faces it gives, on windows and on single crops."""

    name = network = "restoration"
    options = TaskOptions(batch_size=256)

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses) -> None:
        self.networks, self.crops, self.losses = networks, crops, losses

    def build(self) -> nn.Module:
        """A copy of the preset's."""
        return copy.deepcopy(self.networks.restoration)

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `training.restoration.faces_loss`; of windows a half as many."""
        if rng.random() < ALONE_SHARE:
            batch = self.crops.whole(size, COARSEST, rng, generator)
        else:
            batch = self.crops.windows(max(1, size // 2), COARSEST, rng, generator)
        return faces_loss(model, batch, self.losses, generator)


class PriorTask:
    """The prior as a denoiser of clean faces with guides of known blur."""

    name = network = "prior"
    options = TaskOptions(batch_size=256, betas=(0.9, 0.999))

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops) -> None:
        self.networks, self.crops = networks, crops
        self.training = PriorTraining(crops.portraits.source, networks.prior)

    def build(self) -> nn.Module:
        """A copy of the preset's."""
        return copy.deepcopy(self.training.network)

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `PriorTraining.loss`."""
        return self.training.loss(model, self.batch(size, UNGUIDED_SHARE, rng, generator), generator)

    def batch(self, size: int, unguided: float, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """As of `PriorTraining.batch`; unguided: share of the faces without a guide."""
        draw = torch.rand(3, size, generator=generator, device=generator.device)
        low, high = (math.log(level) for level in self.training.levels)
        return self.clean(size, rng, generator) | {
            "level": torch.exp(low + (high - low) * draw[0]),
            "estimate_error": LARGEST_ESTIMATE_ERROR * draw[1],
            "has_guide": (draw[2] >= unguided).float(),
        }

    def clean(self, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """What is learned from: clean pictures in [-1, 1] and masks."""
        return self.crops.clean(size, COARSEST, rng, generator)


class BlurLevelTask:
    """SE on what RM of the coarsest stage leaves behind."""

    name = network = "blur_level"
    options = TaskOptions(batch_size=256, learning_rate=3e-4, betas=(0.9, 0.999))

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops) -> None:
        self.networks, self.crops = networks, crops

    def build(self) -> nn.Module:
        """A copy of the preset's."""
        return copy.deepcopy(self.networks.blur_level)

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `training.blur_level.level_loss`."""
        draw = self.crops.whole if rng.random() < ALONE_SHARE else self.crops.windows
        batch = draw(size, COARSEST, rng, generator)
        with torch.no_grad():
            regression = self.networks.restoration.regress(
                batch["degraded"], None, batch.get("neighbours"), batch.get("valid")
            )
            estimate = regression.estimate.float()
            with torch.autocast(estimate.device.type, enabled=False):
                level = trusted_level((estimate - batch["clean"]) * batch["mask"])
        return level_loss(model, {"degraded": regression.evidence, "estimate": estimate, "level": level})


class SampledCrops:
    """Degraded faces as the sampler meets them: estimate, level, starting step, noise."""

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops) -> None:
        sampler = networks.stage.sampler
        assert sampler is not None
        self.networks, self.crops = networks, crops
        self.table = DeviceTable.of(sampler.starting_steps, crops.device)

    @torch.no_grad()
    def batch(self, size: int, rng: np.random.Generator, generator: torch.Generator) -> tuple[Batch, StartingPoints]:
        """Clean faces with masks, and what they are sampled from under random strengths."""
        batch = self.crops.whole(size, COARSEST, rng, generator)
        estimate = self.networks.restoration(batch["degraded"]).float().clamp(-1, 1)
        return batch, self.start(batch["degraded"], estimate, generator)

    def start(self, degraded: Tensor, estimate: Tensor, generator: torch.Generator) -> StartingPoints:
        """What estimates of degraded crops, (B, 3, 128, 128) in [-1, 1], are sampled from."""
        found, _ = self.networks.blur_level.estimate_level(degraded, estimate)
        return starting_points(estimate, found, self.table, self.networks.stage.config.finest_level, generator)

    @torch.no_grad()
    def faces(self, degraded: Tensor, estimate: Tensor, generator: torch.Generator) -> Tensor:
        """What the sampler makes of estimates, (B, 3, 128, 128); those that hardly lack anything stay RM's."""
        start = self.start(degraded, estimate, generator)
        faces = sample_in_two(self.networks.prior, start, FEW_EVALUATIONS).float().clamp(-1, 1)
        needed = start.starting_step >= self.networks.stage.config.least_starting_step
        return torch.where(needed[:, None, None, None], faces, estimate)


def starting_points(
    estimate: Tensor, level: Tensor, table: DeviceTable, finest_level: float, generator: torch.Generator
) -> StartingPoints:
    """What faces are sampled from under random strengths.

    Args:
        estimate: RM's, (B, 3, R, R) in [-1, 1].
        level: SE's, (B,).
        table: Of the prior.
        finest_level: See `StageConfig`.
        generator: Of strength and noise.
    """
    low, high = TRAINED_STRENGTHS
    strength = low + (high - low) * torch.rand(len(level), generator=generator, device=estimate.device)
    used = (level.float() + finest_level) * 2 * strength
    # A face that starts at the last step or below would have one evaluation, not two.
    step = table.lookup(used).clamp(min=FEW_EVALUATIONS.last_step + 1)
    noise = torch.randn(estimate.shape, generator=generator, device=estimate.device)
    return StartingPoints(estimate, used, step, FEW_EVALUATIONS.temperature * noise)


class SamplerTask:
    """The prior as the sampler uses it: two guided evaluations, judged by the face that comes out."""

    name, network = "sampler", "prior"
    options = TaskOptions(batch_size=160, learning_rate=2e-4, betas=ADVERSARIAL_BETAS)

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses) -> None:
        self.networks, self.losses = networks, losses
        self.sampled, self.denoising = SampledCrops(networks, crops), PriorTask(networks, crops)

    def build(self) -> nn.Module:
        """The prior as it was trained before, and a fresh discriminator."""
        return Adversarial(copy.deepcopy(self.networks.prior), PatchDiscriminator())

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """See `training.sampler.adversarial_loss`; of `DENOISING_SHARE` of the batches that of a denoiser."""
        assert isinstance(model, Adversarial) and isinstance(model.generator, GuidedPrior)
        if rng.random() < DENOISING_SHARE:
            batch = self.denoising.batch(size, 0.5, rng, generator)
            return self.denoising.training.loss(model.generator, batch, generator)
        batch, start = self.sampled.batch(size, rng, generator)
        faces = sample_in_two(model.generator, start, FEW_EVALUATIONS)
        return adversarial_loss(model, self.losses, faces, batch, generator)


class AdjusterTask:
    """Train the guidance map inside the sampler, with the prior trained so far."""

    name = network = "adjuster"
    options = TaskOptions(batch_size=64, learning_rate=2e-4, betas=ADVERSARIAL_BETAS)

    def __init__(self, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses) -> None:
        self.networks, self.losses, self.sampled = networks, losses, SampledCrops(networks, crops)

    def build(self) -> nn.Module:
        """A copy of the preset's, and a fresh discriminator."""
        return Adversarial(copy.deepcopy(self.networks.adjuster), PatchDiscriminator())

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """Both players' losses of the faces that come out under the map."""
        assert isinstance(model, Adversarial)
        batch, start = self.sampled.batch(size, rng, generator)
        faces = sample_in_two(
            self.networks.prior, start, FEW_EVALUATIONS, guidance_map=model.generator, gradient_from=0
        )
        return adversarial_loss(model, self.losses, faces, batch, generator)
