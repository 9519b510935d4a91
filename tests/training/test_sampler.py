"""Training of the sampler: it samples as the pipeline does, and both players learn from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dynface_video.config import load_settings
from dynface_video.diffusion.engine import SamplingEngine, SamplingOptions
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.models.restoration import RestorationModel
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from noise_faces import noise_faces
from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.loop import Batch
from training.losses import FaceLosses
from training.prior import PriorTraining
from training.restoration import RestorationTraining
from training.sampler import SampledFaces, SamplerTraining

OPTIONS = SamplingOptions(num_inference_steps=3, temperature=0.9, trust=0.02)


@pytest.fixture(scope="module")
def sampled() -> SampledFaces:
    stage = FacePipeline.from_settings(load_settings("mini", None, {"device": "cpu"})).stages[0]
    return SampledFaces(RestorationTraining(noise_faces(), RestorationModel()), stage, OPTIONS)


@pytest.fixture(scope="module")
def component(sampled: SampledFaces) -> SamplerTraining:
    torch.manual_seed(0)
    losses = FaceLosses(EfficientNetLite0().requires_grad_(False), FaceRecognition().requires_grad_(False))
    return SamplerTraining(sampled, losses, PriorTraining(noise_faces(), sampled.sampler.prior))


@pytest.fixture(scope="module")
def batch(sampled: SampledFaces) -> Batch:
    return sampled.batch(np.random.default_rng(0), 2, held_out=False)


def test_faces_in_training_are_those_of_the_pipeline(sampled: SampledFaces) -> None:
    rng = np.random.default_rng(1)
    estimates = rng.random((3, 128, 128, 3), dtype=np.float32)
    levels, seeds = np.array([0.3, 1.2, 3.0]) / 128, [4, 5, 6]
    settings = {
        "strength": 0.6,
        "num_inference_steps": OPTIONS.num_inference_steps,
        "temperature": OPTIONS.temperature,
        "trust": OPTIONS.trust,
        "guidance_map": "none",
    }
    stage = sampled.stage.with_settings(sampled.stage.settings.model_copy(update=settings))
    stage = replace(stage, config=replace(stage.config, last_step=OPTIONS.last_step))
    steps = stage.starting_steps(levels)
    keys = [NoiseKey(seed, i) for i, seed in enumerate(seeds)]
    expected = to_array(stage.sample(to_tensor(estimates), levels, steps, keys).faces)
    batch = {
        "estimate": torch.from_numpy(estimates).permute(0, 3, 1, 2) * 2 - 1,
        "level": torch.from_numpy(stage.effective_blur_levels(levels)),
        "starting_step": torch.from_numpy(steps),
        "noise_seed": torch.tensor(seeds),
    }
    faces = sampled.sample(SamplingEngine(sampled.sampler.prior, OPTIONS, stage.device), batch)
    found = ((faces.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(found - expected).max() < 1e-4
    assert np.abs(found - estimates).max() > 0.01


def test_both_players_learn_from_restored_faces(component: SamplerTraining, batch: Batch) -> None:
    model = component.build()
    component.loss(model, batch, torch.Generator().manual_seed(0)).backward()
    for network in (model.generator, model.discriminator):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    frozen = component.sampled.stage.networks()
    assert len(frozen) == 3 and all(p.grad is None for network in frozen for p in network.parameters())


def test_what_lies_outside_the_picture_teaches_nothing(component: SamplerTraining, batch: Batch) -> None:
    model = component.build()
    outside = batch | {"mask": torch.zeros_like(batch["mask"])}
    component.loss(model, outside, torch.Generator().manual_seed(0)).backward()
    assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in model.generator.parameters())


def test_a_share_of_the_batches_is_clean_faces_under_noise(
    component: SamplerTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.sampler.DENOISING_SHARE", 1.0)
    batch = component.batch(np.random.default_rng(0), 8, held_out=False)
    assert "estimate" not in batch and 0 < batch["has_guide"].mean() < 1
    model = component.build()
    component.loss(model, batch, torch.Generator().manual_seed(0)).backward()
    assert all(p.grad is None for p in model.discriminator.parameters())
    assert "estimate" in component.batch(np.random.default_rng(0), 1, held_out=True)


def test_scores_are_of_the_three_strengths(component: SamplerTraining, sampled: SampledFaces) -> None:
    batch = sampled.batch(np.random.default_rng(0), 3, held_out=True)
    with torch.no_grad():
        scores = component.validate(component.build(), batch, torch.Generator())
    assert len(scores) == 12 and scores["psnr_mild"] > scores["psnr_severe"]
