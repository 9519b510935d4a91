"""Training of the prior: what it is shown, and that a part of a face is drawn as the whole is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.models.prior import GuidedPrior, mean_log_power
from noise_faces import noise_faces
from training.data import FaceSet
from training.prior import PriorTraining

TINY = GuidedPrior(resolution=256, block_out_channels=(16, 16), norm_num_groups=4, attention_head_dim=8)


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return noise_faces()


def test_a_batch_can_be_learned_from(faces: FaceSet) -> None:
    component = PriorTraining(faces, TINY)
    batch = component.batch(np.random.default_rng(0), 2, held_out=False)
    assert batch["clean"].shape == (2, 3, 256, 256) and batch["mask"].shape == (2, 1, 256, 256)
    assert (batch["level"] >= component.levels[0]).all() and (batch["level"] <= component.levels[1]).all()
    model = component.build()
    component.loss(model, batch, torch.Generator().manual_seed(0)).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.no_grad():
        scores = component.validate(model, batch, torch.Generator().manual_seed(0))
    assert all(int(name.rpartition("_")[2]) < component.last_timestep for name in scores)


def test_the_gaussian_estimate_of_a_part_is_that_of_the_whole() -> None:
    """Of faces whose power falls with frequency, cut out of larger ones: the same spectrum serves both."""
    torch.manual_seed(0)
    size = 64
    smooth = torch.randn(200, 3, 2 * size, 2 * size)
    kernel = torch.ones(3, 1, 3, 3) / 9
    smooth = torch.nn.functional.conv2d(smooth, kernel, padding=1, groups=3)
    model = GuidedPrior(resolution=2 * size, block_out_channels=(16, 16), norm_num_groups=4, attention_head_dim=8)
    model.log_power.copy_(mean_log_power(smooth))
    parts = smooth[:8, :, 20 : 20 + size, 20 : 20 + size]
    noise, t = torch.randn(8, 3, 2 * size, 2 * size), torch.full((8,), 300)
    alphas = model.alphas_cumprod[t][:, None, None, None]
    none, level = torch.zeros(8), torch.full((8,), 0.5 / size)
    errors = []
    for clean, own in ((smooth[:8], noise), (parts, noise[..., :size, :size])):
        noisy = alphas.sqrt() * clean + (1 - alphas).sqrt() * own
        estimate, deviation = model.gaussian_estimate(noisy, t, torch.zeros_like(noisy), level, none)
        errors.append(float((estimate - clean).square().mean().sqrt()))
        assert errors[-1] == pytest.approx(float(deviation[0]), rel=0.1)
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
