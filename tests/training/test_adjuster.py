"""DGSA's training inside the sampler: gradients reach the map alone, and it learns where guidance helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.config import load_settings
from dynface_video.diffusion.engine import FaceJob, SamplingEngine, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.models.restoration import RestorationModel
from dynface_video.pipeline import FacePipeline
from noise_faces import noise_faces
from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.adjuster import AdjusterTraining
from training.losses import FaceLosses
from training.restoration import RestorationTraining
from training.sampler import SampledFaces

SIZE = 32


class Negative:
    """A denoiser whose estimate is the negative of the guide."""

    resolution = SIZE
    schedule = NoiseSchedule()

    def predict(self, sample, timestep, guide, blur_level):  # type: ignore[no-untyped-def]
        return -guide


def test_the_map_learns_where_the_guide_is_to_be_obeyed() -> None:
    """The clean face is the estimate on its bright side, where guidance helps, and the prior's on its dark side."""
    torch.manual_seed(0)
    adjuster = GuidanceAdjuster(unshuffle=4, width=8)
    options = SamplingOptions(num_inference_steps=2, last_step=60)
    engine = SamplingEngine(Negative(), options, torch.device("cpu"), guidance_map=adjuster)
    estimate = torch.full((3, SIZE, SIZE), 0.4)
    estimate[..., SIZE // 2 :] = -0.4
    job = FaceJob(0, estimate, (Guide(0.5 / SIZE, 300),), 300, NoiseKey(0, 0))
    optimizer = torch.optim.Adam(adjuster.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        (engine.unroll([job], with_gradient=2) - estimate.abs()).square().mean().backward()
        optimizer.step()
    maps: list[torch.Tensor] = []
    engine.on_step = lambda step: maps.append(step.map)
    with torch.no_grad():
        engine.unroll([job])
    margin = 4
    bright, dark = maps[-1][..., : SIZE // 2 - margin], maps[-1][..., SIZE // 2 + margin :]
    assert bright.mean() > 0.8 > 0.2 > dark.mean()


def test_only_the_map_and_its_discriminator_learn() -> None:
    torch.manual_seed(0)
    stage = FacePipeline.from_settings(load_settings("mini", None, {"device": "cpu"})).stages[0]
    sampled = SampledFaces(
        RestorationTraining(noise_faces(), RestorationModel()),
        stage,
        SamplingOptions(num_inference_steps=2, last_step=60),
    )
    losses = FaceLosses(EfficientNetLite0().requires_grad_(False), FaceRecognition().requires_grad_(False))
    component = AdjusterTraining(sampled, losses, GuidanceAdjuster())
    model, batch = component.build(), component.batch(np.random.default_rng(0), 3, held_out=True)
    component.loss(model, batch, torch.Generator()).backward()
    last = model.generator.layers[-1]  # type: ignore[union-attr,index]
    assert last.bias.grad.abs() > 0 and model.discriminator.layers[0].bias.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert all(p.grad is None for p in sampled.sampler.prior.parameters())  # type: ignore[attr-defined]
    with torch.no_grad():
        scores = component.validate(model, batch, torch.Generator())
    assert scores["judged"] > 0 and scores["psnr_mild"] > scores["psnr_severe"]


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_global_scale_is_the_map_of_that_value(scale: float) -> None:
    estimate = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) - 0.5
    job = FaceJob(0, estimate, (Guide(1.0 / SIZE, 300),), 300, NoiseKey(0, 0))
    options, device = SamplingOptions(num_inference_steps=2, guidance_scale=scale), torch.device("cpu")
    by_scale = SamplingEngine(Negative(), options, device).unroll([job])
    by_map = SamplingEngine(
        Negative(),
        SamplingOptions(num_inference_steps=2),
        device,
        guidance_map=lambda guide, *_: torch.full_like(guide[:, :1], scale),
    ).unroll([job])
    torch.testing.assert_close(by_scale, by_map)
