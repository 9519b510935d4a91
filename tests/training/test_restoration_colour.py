"""Training of the colour branch: nothing else of RM changes, and it learns a tint."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dynface_video import pretrained
from dynface_video.models.restoration import RestorationModel
from training.data import FaceSet
from training.losses import chroma_l1
from training.restoration import COLOUR_CHANNELS, ColourTraining

RM = {"resolution": 64, "channels": (4, 4, 8, 8), "blocks": (1, 1, 1, 1)}


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    rng = np.random.default_rng(0)
    images = np.repeat(np.repeat(rng.integers(0, 255, (6, 16, 16, 3), np.uint8), 16, axis=1), 16, axis=2)
    corners = np.tile(np.float32([[0, 0], [256, 0], [256, 256], [0, 256]]), (6, 1, 1))
    landmarks = np.tile(np.float32([[98, 120], [158, 120], [128, 155], [103, 184], [153, 184]]), (6, 1, 1))
    held_out = np.array([False] * 3 + [True] * 3)
    return FaceSet(images, corners, landmarks, np.full(6, 20, np.float32), np.full(6, 0.5, np.float32), held_out)


def test_only_the_branch_learns_and_it_learns_a_tint(faces: FaceSet) -> None:
    torch.manual_seed(0)
    component = ColourTraining(faces, RestorationModel(**RM, colour_channels=(8, 8, 8, 8)))
    model = component.build()
    batch = component.batch(np.random.default_rng(1), 4, held_out=False)
    batch["degraded"] = (batch["clean"] + torch.tensor([0.2, 0.0, -0.2])[:, None, None]).clamp(-1, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses, generator = [], torch.Generator().manual_seed(0)
    for _ in range(60):
        loss = component.loss(model, batch, generator)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.3 * losses[0]
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"colour"}
    with torch.no_grad():
        scores = component.validate(
            model, component.batch(np.random.default_rng(2), 3, held_out=True), torch.Generator()
        )
    assert {"degraded_mild", "rm_mild", "degraded_severe", "rm_severe"} <= set(scores)


def test_a_network_without_a_branch_gets_one_and_is_exported_with_it(faces: FaceSet, tmp_path: Path) -> None:
    initial = RestorationModel(**RM)
    model = ColourTraining(faces, initial).build()
    assert tuple(model.config.colour_channels) == COLOUR_CHANNELS
    with torch.no_grad():
        model.colour.tail.bias.fill_(0.25)
    pretrained.save_pretrained(model, tmp_path)
    loaded = pretrained.load_pretrained(RestorationModel, tmp_path)
    crops = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(loaded(crops), model(crops), atol=0.01, rtol=0)
        assert chroma_l1(loaded(crops), initial(crops)) > 0.05


def test_crops_in_the_place_of_faces_teach_as_well(faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    component = ColourTraining(faces, RestorationModel(**RM))
    model, losses = component.build(), []
    with torch.no_grad():
        # RM's face has another colour than the crop.
        model.tail.bias[:4].fill_(0.5)
    batch = component.batch(np.random.default_rng(1), 2, held_out=False)
    for share in (0.0, 1.0):
        monkeypatch.setattr("training.restoration.FACES_SHARE", share)
        losses.append(component.loss(model, batch, torch.Generator()))
        losses[-1].backward()
    assert model.colour.tail.weight.grad is not None and losses[0].item() != losses[1].item()
