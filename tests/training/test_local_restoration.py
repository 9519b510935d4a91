"""Training of RM of the local stages: its patches, its coarser faces, and what it begins as."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dynface_video.models.restoration import RestorationModel, enlarge_coarse, reading_coarse
from noise_faces import large_noise_faces, noise_faces
from teachers.identity import FaceRecognition, face_chips
from teachers.perceptual import EfficientNetLite0
from training import local_restoration
from training.local_restoration import (
    MARGIN,
    PATCH,
    LocalFaces,
    LocalRestorationTraining,
    coarser_patches,
    face_parts,
    in_crop,
    patch_corner,
    reduced,
    window_below,
)
from training.local_validation import Sheet, held_out_sheets, sheet_scores, skin_roughness
from training.loop import LoopConfig, load_average, score, train
from training.losses import FaceLosses


@pytest.fixture(scope="module")
def component() -> LocalRestorationTraining:
    torch.manual_seed(0)
    coarse = RestorationModel(channels=(8, 16), blocks=(1, 1), fusion_channels=4).eval()
    losses = FaceLosses(
        EfficientNetLite0().eval().requires_grad_(False), FaceRecognition().eval().requires_grad_(False)
    )
    return LocalRestorationTraining(LocalFaces(noise_faces(), large_noise_faces()), coarse, losses)


@pytest.fixture(scope="module")
def finest(component: LocalRestorationTraining) -> LocalRestorationTraining:
    faces = LocalFaces(component.portraits, component.large)
    below = reading_coarse(component.coarse).requires_grad_(False)
    network = reading_coarse(RestorationModel(channels=(12, 16), blocks=(1, 1)))
    return LocalRestorationTraining(faces, component.coarse, component.losses, network=network, below=below)


@pytest.mark.parametrize("stage", ["component", "finest"])
def test_patches_of_both_stages_can_be_learned_from(stage: str, request: pytest.FixtureRequest) -> None:
    torch.manual_seed(0)
    training: LocalRestorationTraining = request.getfixturevalue(stage)
    model = training.build()
    batch = training._patches(np.random.default_rng(0), 3, 512 if training.below else 256)
    assert batch["clean"].shape == batch["degraded"].shape == (3, 3, PATCH, PATCH)
    training.loss(model, batch, torch.Generator()).backward()
    for part in (model.generator, model.discriminator):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_the_stage_of_512_is_another_network_than_that_below(finest: LocalRestorationTraining) -> None:
    built = finest.build()
    assert finest.name == "fine_restoration"
    assert built.generator.config == finest.network.config != finest.below.config  # type: ignore[union-attr]
    batch = finest.batch(np.random.default_rng(0), 2, held_out=False)
    assert {"below", "below_coarse", "place"} <= set(batch)
    finest.loss(built, batch, torch.Generator()).backward()
    assert all(p.grad is None for p in finest.below.parameters())  # type: ignore[union-attr]


def test_whole_faces_teach_identity_too(component: LocalRestorationTraining, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def same_person(
        self: FaceLosses, restored: torch.Tensor, clean: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        asked.append(restored.shape[-1])
        return restored.mean() * 0

    monkeypatch.setattr(FaceLosses, "same_person", same_person)
    model = component.build()
    rng = np.random.default_rng(0)
    component.loss(model, face_parts(component.whole_crops([component.crop(rng, 256)], rng)), torch.Generator())
    component.loss(model, component._patches(np.random.default_rng(0), 2, 256), torch.Generator())
    assert asked == [256]


def test_the_part_that_is_restored_holds_all_that_the_identity_network_sees() -> None:
    crop = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    part = face_parts({"clean": crop})["clean"]
    assert part.shape[-1] < 256 and torch.equal(face_chips(in_crop(part)), face_chips(crop))


def test_the_stage_below_is_cut_where_the_patch_lies() -> None:
    """A network that hands the coarser face on: what a patch of 512 is given is that face, enlarged as a whole."""

    class HandsOn(torch.nn.Module):
        def forward(self, degraded: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
            return coarse

    whole = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for corner in ((0, 0), (100, 256), (384, 384)):
        a, b = window_below(corner)
        part = whole[..., b : b + PATCH, a : a + PATCH]
        place = torch.tensor([[corner[0] // 2 - a, corner[1] // 2 - b]])
        found = coarser_patches(HandsOn(), {"below": part, "below_coarse": part, "place": place})
        x, y = corner
        expected = enlarge_coarse(whole, 512)[..., y : y + PATCH, x : x + PATCH]
        assert found.shape == expected.shape
        assert torch.allclose(found[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=1e-5)


def test_windows_of_the_stage_below_leave_a_margin_inside_the_crop() -> None:
    assert window_below((0, 0)) == (0, 0) and window_below((384, 384)) == (128, 128)
    assert window_below((200, 100)) == (100 - MARGIN, 50 - MARGIN)


def test_patches_keep_to_the_picture() -> None:
    mask = np.zeros((512, 512), np.float32)
    mask[:, 160:] = 1
    corners = [patch_corner(mask, np.random.default_rng(seed)) for seed in range(60)]
    inside = [mask[y : y + PATCH, x : x + PATCH].mean() for x, y in corners]
    assert all(x % 2 == 0 and y % 2 == 0 and min(x, y) >= 0 and max(x, y) <= 384 for x, y in corners)
    assert np.mean(inside) > 0.85


def test_crops_are_reduced_about_pixel_centres() -> None:
    ramp = np.repeat(np.linspace(0, 1, 512, dtype=np.float32)[None, :, None], 512, axis=0).repeat(3, axis=2)
    for size in (128, 256):
        expected = ramp.reshape(512, size, 512 // size, 3).mean(axis=2)[:size]
        assert np.abs(reduced(ramp, size) - expected)[8:-8, 8:-8].max() < 1e-3


def test_validation_scores_both_stages_beside_input_and_coarsest(
    component: LocalRestorationTraining, finest: LocalRestorationTraining
) -> None:
    assert component.batch(np.random.default_rng(0), 1, held_out=True) == {}
    assert [sheet.strength for sheet in component.sheets] == ["mild", "medium", "severe"]
    scores = component.validate(component.build(), {}, torch.Generator())
    assert "rm_psnr_256_mild" in scores and "rm_psnr_512_mild" not in scores
    finest.batch(np.random.default_rng(0), 1, held_out=True)
    scores = finest.validate(finest.build(), {}, torch.Generator())
    for name in ("input", "rm128", "rm"):
        for size in (256, 512):
            assert scores[f"{name}_psnr_{size}_mild"] > scores[f"{name}_psnr_{size}_severe"] > 5
            assert scores[f"{name}_perceptual_{size}_severe"] > 0
    # A network that has learned nothing gives back what it was given.
    assert scores["rm_psnr_512_mild"] == pytest.approx(scores["input_psnr_512_mild"], abs=0.5)


def test_a_perfect_result_scores_zero_distance_and_a_noisy_one_is_rough(component: LocalRestorationTraining) -> None:
    sheet: Sheet = held_out_sheets(component.large, component.coarse, 1, np.random.default_rng(0))[0]
    sheet.results["rm", 256], sheet.results["rm", 512] = sheet.clean[256], sheet.clean[512]
    scores = sheet_scores([sheet], component.losses, "rm")
    assert scores["rm_perceptual_512_mild"] == pytest.approx(0, abs=1e-6)
    assert scores["rm_skin_512_mild"] == pytest.approx(1)
    noise = torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    assert skin_roughness(sheet.clean[512] + 0.1 * noise) > 2 * skin_roughness(sheet.clean[512])


def test_a_run_resumes_with_its_discriminator_and_keeps_an_average(
    component: LocalRestorationTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_restoration, "FACE_SHARE", 0.0)
    monkeypatch.setattr(component, "validate", lambda *_: {"score": 1.0})
    device = torch.device("cpu")
    for crops in (2, 4):
        train(component, LoopConfig(crops=crops, batch_size=2, validation_crops=1), tmp_path, device)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2 and any(name.startswith("discriminator.") for name in state["model"])
    averaged = load_average(component, tmp_path).generator
    assert isinstance(averaged, RestorationModel) and averaged.config.reads_coarse
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    assert score(component, LoopConfig(crops=0, validation_crops=1), tmp_path, device) == {"score": 1.0}
