from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.discriminator import Adversarial
from training.gpu.degraded_crops import DegradedCrops
from training.gpu.preset import PresetNetworks
from training.gpu.run import JUDGED, SHARES, UNJUDGED
from training.gpu.tasks import SampledCrops
from training.gpu.timed_loop import DeviceTask
from training.losses import FaceLosses
from training.sampler import FEW_EVALUATIONS


@pytest.fixture(scope="module")
def losses() -> FaceLosses:
    """Teachers with random weights: what is tested is that gradients arrive."""
    torch.manual_seed(0)
    return FaceLosses(EfficientNetLite0().requires_grad_(False), FaceRecognition().requires_grad_(False))


def make(name: str, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses) -> DeviceTask:
    return UNJUDGED[name](networks, crops) if name in UNJUDGED else JUDGED[name](networks, crops, losses)


@pytest.mark.parametrize("name", SHARES)
def test_every_task_trains_its_own_network_and_no_other(
    name: str, networks: PresetNetworks, crops: DegradedCrops, losses: FaceLosses
) -> None:
    task = make(name, networks, crops, losses)
    assert task.name == name
    model = task.build().train().requires_grad_(True)
    loss = task.loss(model, 2, np.random.default_rng(1), torch.Generator().manual_seed(1))
    assert bool(loss.isfinite())
    loss.backward()
    trained = model.generator if isinstance(model, Adversarial) else model
    assert type(trained) is type(getattr(networks, task.network))
    assert sum(float(p.grad.abs().sum()) for p in trained.parameters() if p.grad is not None) > 0
    kept = [part for part in vars(networks).values() if isinstance(part, torch.nn.Module)]
    assert len(kept) == 6 and all(p.grad is None for part in kept for p in part.parameters())


def test_faces_to_sample_start_above_the_last_step(networks: PresetNetworks, crops: DegradedCrops) -> None:
    batch, start = SampledCrops(networks, crops).batch(4, np.random.default_rng(0), torch.Generator().manual_seed(0))
    assert (start.starting_step > FEW_EVALUATIONS.last_step).all()
    assert (start.level > 0).all() and start.estimate.abs().max() <= 1
    assert start.noise.std() == pytest.approx(FEW_EVALUATIONS.temperature, rel=0.02)
    assert batch["clean"].shape == start.estimate.shape


def test_sampled_faces_are_the_estimates_where_hardly_anything_is_missing(
    networks: PresetNetworks, crops: DegradedCrops
) -> None:
    sampled = SampledCrops(networks, crops)
    batch = crops.whole(4, 128, np.random.default_rng(0), torch.Generator().manual_seed(0))
    start = sampled.start(batch["degraded"], batch["degraded"], torch.Generator().manual_seed(5))
    middle = int(start.starting_step.sort().values[2])
    stage = networks.stage
    config = replace(stage.config, least_starting_step=middle)
    some = replace(networks, stage=replace(stage, config=config))
    faces = SampledCrops(some, crops).faces(batch["degraded"], batch["degraded"], torch.Generator().manual_seed(5))
    kept = (faces == batch["degraded"]).flatten(1).all(dim=1)
    assert torch.equal(kept, start.starting_step < middle) and 0 < kept.sum() < 4
