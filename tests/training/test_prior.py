"""Training of both priors: what they are shown, and that a part of a face is drawn as the whole is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.models.prior import GuidedPrior, mean_log_power
from noise_faces import noise_faces
from training.data import FaceSet, sample_part
from training.prior import FINE_PART, FinePriorTraining, PriorTraining

TINY = GuidedPrior(resolution=256, block_out_channels=(16, 16), norm_num_groups=4, attention_head_dim=8)


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return noise_faces()


@pytest.mark.parametrize("training", [PriorTraining, FinePriorTraining])
def test_a_batch_can_be_learned_from(faces: FaceSet, training: type[PriorTraining]) -> None:
    component = training(faces, TINY)
    batch = component.batch(np.random.default_rng(0), 2, held_out=False)
    side = FINE_PART if training is FinePriorTraining else 256
    assert batch["clean"].shape == (2, 3, side, side) and batch["mask"].shape == (2, 1, side, side)
    assert (batch["level"] >= component.levels[0]).all() and (batch["level"] <= component.levels[1]).all()
    model = component.build()
    component.loss(model, batch, torch.Generator().manual_seed(0)).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.no_grad():
        scores = component.validate(model, batch, torch.Generator().manual_seed(0))
    assert all(int(name.rpartition("_")[2]) < component.last_timestep for name in scores)


def test_enlarged_faces_teach_no_fine_detail(faces: FaceSet) -> None:
    enlarged = FaceSet(faces.images, faces.corners, faces.landmarks, faces.detail, faces.scale * 4, faces.held_out)
    assert len(FinePriorTraining(faces, TINY).indices(held_out=False)) == 3
    assert len(FinePriorTraining(enlarged, TINY).indices(held_out=False)) == 0
    assert len(PriorTraining(enlarged, TINY).indices(held_out=False)) == 3


def test_parts_are_cut_out_with_the_mask_of_the_picture(faces: FaceSet) -> None:
    corners = faces.corners.copy()
    corners[0, [1, 2], 0] = 128  # the right half was mirrored
    half = FaceSet(faces.images, corners, faces.landmarks, faces.detail, faces.scale, faces.held_out)
    shares = [sample_part(half, 0, FINE_PART, np.random.default_rng(seed))[1].mean() for seed in range(40)]
    assert min(shares) < 0.2 and max(shares) > 0.9 and 0.35 < np.mean(shares) < 0.65


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
