"""What the identity network learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dynface_video.faces.identity_network import IdentityNetwork
from teachers.identity import FaceRecognition
from training.data import FaceSet
from training.identity import IdentityTraining, teacher_embeddings, whitened

COUNT = 12


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    row = np.linspace(0, 255, 256, dtype=np.uint8)
    images = np.stack([np.tile(np.roll(row, 20 * i)[None, :, None], (256, 1, 3)) for i in range(COUNT)])
    ones = np.ones(COUNT, np.float32)
    points = np.zeros((COUNT, 5, 2), np.float32)
    return FaceSet(images, np.zeros((COUNT, 4, 2), np.float32), points, 20 * ones, ones, np.arange(COUNT) % 3 == 0)


def test_whitening_lessens_the_axes_along_which_all_differ() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 6)) * [5, 1, 1, 1, 1, 1]
    made = whitened(vectors, np.arange(300))
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
    plain = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    # The first axis spreads five times as far as the others; 0.75 of the exponent of whitening leaves 5 ** 0.25.
    before, after = (own.std(axis=0)[0] / own.std(axis=0)[1:].mean() for own in (plain, made))
    assert before > 2.5 and after == pytest.approx(5**0.25, rel=0.15)


def test_the_teacher_is_asked_once_and_sees_mirror_images_alike(faces: FaceSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = teacher_embeddings(faces, FaceRecognition().eval(), tmp_path / "e.npy")
    assert first.shape == (COUNT, 128) and first.dtype == np.float32
    again = teacher_embeddings(faces, FaceRecognition().eval(), tmp_path / "e.npy")
    np.testing.assert_array_equal(first, again)


def test_batches_hold_views_of_one_part_of_the_faces(faces: FaceSet) -> None:
    embeddings = np.eye(COUNT, 128, dtype=np.float32)
    component = IdentityTraining(faces, embeddings)
    batch = component.batch(np.random.default_rng(1), 6, held_out=True)
    assert batch["crop"].shape == (6, 3, 80, 80) and float(batch["crop"].abs().max()) <= 1
    assert set(batch["target"].argmax(dim=1).tolist()) <= set(range(0, COUNT, 3))


def test_the_loss_is_least_for_the_teachers_own_vectors(faces: FaceSet) -> None:
    component = IdentityTraining(faces, np.eye(COUNT, 128, dtype=np.float32))
    batch = component.batch(np.random.default_rng(2), 8, held_out=False)
    generator = torch.Generator()
    right = component.loss(lambda crops: batch["target"], batch, generator)  # type: ignore[arg-type]
    wrong = component.loss(lambda crops: batch["target"].roll(1, dims=0), batch, generator)  # type: ignore[arg-type]
    assert float(right) == pytest.approx(0, abs=1e-5) and float(wrong) > 0.5


def test_vectors_have_length_one_and_gradients_reach_the_stem() -> None:
    network = IdentityNetwork()
    made = network(torch.rand(2, 3, 80, 80) * 2 - 1)
    made[0, 0].backward()
    torch.testing.assert_close(made.norm(dim=1), torch.ones(2))
    assert made.shape == (2, 128) and float(network.stem[0][0].weight.grad.abs().sum()) > 0
