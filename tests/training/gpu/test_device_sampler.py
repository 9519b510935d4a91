from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.diffusion.engine import FaceJob, SamplingEngine, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.noise import START, NoiseKey, noise_for
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.face_sampler import with_chroma_of
from training.gpu.device_sampler import DeviceTable, StartingPoints, luminance_of, sample_in_two
from training.gpu.preset import PresetNetworks

OPTIONS = SamplingOptions(num_inference_steps=2, last_step=60, temperature=1.1, guidance_scale=0.8)
LEVELS, STEPS = (1.5 / 128, 4.0 / 128), (420, 610)


@pytest.fixture
def start() -> StartingPoints:
    generator = torch.Generator().manual_seed(0)
    estimate = torch.rand(2, 3, 128, 128, generator=generator) * 2 - 1
    noise = torch.stack([OPTIONS.temperature * noise_for(NoiseKey(7, k), START, 128) for k in range(2)])
    return StartingPoints(estimate, torch.tensor(LEVELS), torch.tensor(STEPS), noise)


@pytest.mark.parametrize("mapped", [False, True])
def test_faces_are_those_of_the_engine(networks: PresetNetworks, start: StartingPoints, mapped: bool) -> None:
    guidance_map = networks.adjuster if mapped else None
    engine = SamplingEngine(networks.prior, OPTIONS, torch.device("cpu"), guidance_map=guidance_map)
    jobs = [FaceJob(k, start.estimate[k], (Guide(LEVELS[k], STEPS[k]),), STEPS[k], NoiseKey(7, k)) for k in range(2)]
    faces = engine.unroll(jobs)
    expected = torch.stack([with_chroma_of(face, own) for face, own in zip(faces, start.estimate, strict=True)])
    found = sample_in_two(networks.prior, start, OPTIONS, guidance_map=guidance_map)
    assert (found - expected).abs().max() < 1e-3
    assert (found - start.estimate).abs().max() > 0.01


@pytest.mark.parametrize("first", [0, 1])
def test_gradients_reach_the_prior_from_the_recorded_evaluations(
    networks: PresetNetworks, start: StartingPoints, first: int
) -> None:
    prior = networks.prior.requires_grad_(True)
    sample_in_two(prior, start, OPTIONS, gradient_from=first).square().mean().backward()
    gradient = prior.unet.conv_out.weight.grad
    assert gradient is not None and float(gradient.abs().sum()) > 0


def test_the_colour_is_that_of_the_estimate() -> None:
    estimate, face = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    found = luminance_of(face, estimate)
    assert torch.allclose(found[0], with_chroma_of(face[0], estimate[0]))


def test_the_table_on_the_device_is_that_of_the_host() -> None:
    table = StartingStepTable((0.01, 0.02, 0.05), (300, 500, 990), 0.01, 128, NoiseSchedule(), "made")
    levels = np.array([0.0, 0.004, 0.013, 0.037, 0.05, 0.2])
    found = DeviceTable.of(table, torch.device("cpu")).lookup(torch.from_numpy(levels).float())
    assert np.abs(found.numpy() - table.lookup(levels)).max() <= 1
