"""SE of the local stages learns from whole crops, and from what RM makes of them beside the coarser face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.models.blur_level import BlurLevelEstimator, trusted_level
from dynface_video.models.restoration import RestorationModel, reading_coarse
from noise_faces import large_noise_faces, noise_faces
from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.local_blur_level import LocalBlurLevelTraining
from training.local_restoration import LocalFaces, LocalRestorationTraining
from training.losses import FaceLosses


@pytest.fixture(scope="module")
def component() -> LocalBlurLevelTraining:
    torch.manual_seed(0)
    coarse = RestorationModel(channels=(8, 16), blocks=(1, 1), fusion_channels=4).eval()
    losses = FaceLosses(EfficientNetLite0(), FaceRecognition())
    faces = LocalRestorationTraining(LocalFaces(noise_faces(), large_noise_faces()), coarse, losses)
    local = reading_coarse(coarse)
    for layer in (local.head, local.tail):  # as initialised it does not look at the coarser face
        torch.nn.init.normal_(layer.weight, std=0.1)
    return LocalBlurLevelTraining(faces, local, BlurLevelEstimator(resolution=256))


def test_levels_are_those_of_what_rm_makes_beside_the_coarser_face(component: LocalBlurLevelTraining) -> None:
    batch = component.batch(np.random.default_rng(0), 2, held_out=False)
    rng = np.random.default_rng(0)
    crops = component.faces.whole_crops([component.faces.crop(rng, 256) for _ in range(2)], rng)
    assert batch["degraded"].shape == batch["estimate"].shape == (2, 3, 256, 256)
    with torch.no_grad():
        estimate = component.restoration(crops["degraded"], crops["coarse"])
        elsewhere = component.restoration(crops["degraded"], -crops["coarse"])
    assert torch.equal(batch["estimate"], estimate) and not torch.equal(estimate, elsewhere)
    assert torch.equal(batch["level"], trusted_level((estimate - crops["clean"]) * crops["mask"]))


def test_held_out_faces_are_not_learned_from(component: LocalBlurLevelTraining) -> None:
    rng = np.random.default_rng(0)
    held_out, learned = (
        [component.faces.crop(rng, 256, held_out=held_out).clean.mean((0, 1)) for _ in range(12)]
        for held_out in (True, False)
    )
    # One face is held out: its crops differ by the jitter of colour alone.
    assert np.std(held_out, axis=0).mean() < np.std(learned, axis=0).mean()
