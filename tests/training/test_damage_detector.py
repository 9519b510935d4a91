"""What the damage detector learns from: damage that shows, on faces that are seen through codecs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.models.damage_detector import DamageDetector
from noise_faces import large_noise_faces, noise_faces
from training.damage_detector import PATCH, DamageDetectorTraining, random_layers, seen_through


@pytest.fixture(scope="module")
def training() -> DamageDetectorTraining:
    return DamageDetectorTraining(noise_faces(), large_noise_faces())


def test_labels_say_where_the_damage_shows() -> None:
    clean = np.full((64, 64, 3), 0.5, np.float32)
    covered, faint = clean.copy(), clean.copy()
    covered[20:40, 30:34] = 1.0
    faint[20:40, 30:34] += 0.004
    crop = seen_through(clean, covered, np.random.default_rng(0))
    assert crop.label[22:38, 31:33].min() == 1 and crop.label[:, :20].max() == 0
    assert np.abs(crop.wanted - clean).max() < 0.01 and np.abs(crop.damaged - covered).mean() < 0.05
    assert seen_through(clean, faint, np.random.default_rng(0)).label.max() == 0


@pytest.mark.parametrize("side", [64, 160])
def test_layers_have_the_size_of_the_crop(side: int) -> None:
    drawn = [layer for seed in range(12) for layer in random_layers(side, np.random.default_rng(seed))]
    assert drawn and all(opacity.shape == (side, side) and colour.shape == (3,) for opacity, colour in drawn)


def test_a_network_learns_from_a_batch(training: DamageDetectorTraining) -> None:
    torch.manual_seed(0)
    network = DamageDetector(channels=(8, 16), blocks=(1, 1))
    batch = training.batch(np.random.default_rng(3), 2, held_out=False)
    assert batch["damaged"].shape == batch["wanted"].shape == (2, 3, PATCH, PATCH)
    assert batch["label"].unique().tolist() in ([0, 0.5, 1], [0, 1], [0])
    optimizer, generator = torch.optim.Adam(network.parameters(), 1e-2), torch.Generator()
    losses = []
    for _ in range(12):
        loss = training.loss(network, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    scores = training.validate(network, batch, generator)
    assert all(0 <= scores[name] <= 1 for name in ("recall", "precision", "false"))
