"""RM trained by the faces it gives: windows and single crops, and nothing outside the picture."""

import numpy as np
import pytest
import torch

from dynface_video.models.restoration import RestorationModel
from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.data import FaceSet
from training.losses import FaceLosses
from training.restoration import FACES_LOSS, FacesTraining, WindowTraining


@pytest.fixture(scope="module")
def component() -> FacesTraining:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = np.repeat(np.repeat(rng.integers(0, 255, (6, 16, 16, 3), np.uint8), 16, axis=1), 16, axis=2)
    corners = np.tile(np.float32([[0, 0], [256, 0], [256, 256], [0, 256]]), (6, 1, 1))
    landmarks = np.tile(np.float32([[98, 120], [158, 120], [128, 155], [103, 184], [153, 184]]), (6, 1, 1))
    held_out = np.array([False] * 3 + [True] * 3)
    faces = FaceSet(images, corners, landmarks, np.full(6, 20, np.float32), np.full(6, 0.5, np.float32), held_out)
    initial = RestorationModel(resolution=64, channels=(4, 4, 8, 8), blocks=(1, 1, 1, 1), fusion_channels=4)
    losses = FaceLosses(EfficientNetLite0().eval(), FaceRecognition().eval(), FACES_LOSS)
    return FacesTraining(WindowTraining(faces, initial, 4), losses)


def test_windows_and_single_crops_both_teach(component: FacesTraining) -> None:
    torch.manual_seed(0)
    for windows in (True, False):
        model = component.build()
        rng = np.random.default_rng(3)
        source = component.windows.windows if windows else component.windows.single.batch
        batch = source(rng, 2, held_out=False)
        assert ("neighbours" in batch) == windows
        component.loss(model, batch, torch.Generator()).backward()
        assert all(p.grad is not None for name, p in model.named_parameters() if windows or "fusion" not in name)


def test_what_lies_outside_the_picture_teaches_nothing(component: FacesTraining) -> None:
    model = component.build()
    batch = component.windows.single.batch(np.random.default_rng(0), 2, held_out=False)
    batch["mask"] = torch.zeros_like(batch["mask"])
    component.loss(model, batch, torch.Generator().manual_seed(0)).backward()
    assert sum(float(p.grad.abs().sum()) for p in model.parameters() if p.grad is not None) == 0


def test_held_out_crops_are_scored_by_strength(component: FacesTraining) -> None:
    model = component.build()
    batch = component.batch(np.random.default_rng(0), 3, held_out=True)
    with torch.no_grad():
        scores = component.validate(model, batch, torch.Generator())
    assert {"psnr_mild", "perceptual_medium", "identity_severe"} <= set(scores)
