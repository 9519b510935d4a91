"""Aligned crops in, restored crops out, stage by stage."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dynface_video.errors import InputError, ModelError
from dynface_video.faces.align import align_transform, extract_crop
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.models.registry import model_folder
from dynface_video.pipeline import FacePipeline
from dynface_video.stage_loading import INDEX
from evaluation.faces import CleanFace, DegradedFace
from evaluation.maps import map_sheet, with_map
from training.degradation import Degradation, degrade

BAD = Degradation(blur_x=6, blur_y=6, angle=0, downscale=8, noise=10, jpeg=50)


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline.from_pretrained("mini", device="cpu")


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS, photograph

    return extract_crop(photograph(), align_transform(np.array(PHOTOGRAPH_LANDMARKS), 128), 128)


@pytest.fixture(scope="module")
def degraded(clean: np.ndarray) -> np.ndarray:
    return degrade(clean, BAD, np.random.default_rng(0))


def as_batch(crop: np.ndarray) -> Tensor:
    return torch.from_numpy(crop).permute(2, 0, 1)[None]


def test_tensors_in_and_out(pipeline: FacePipeline, clean: np.ndarray, degraded: np.ndarray) -> None:
    crops = as_batch(degraded)
    faces = pipeline(crops)
    assert faces.shape == crops.shape and faces.dtype == crops.dtype
    assert faces.min() >= 0 and faces.max() <= 1
    assert torch.equal(faces, pipeline(crops))
    restored = faces[0].permute(1, 2, 0).numpy()
    assert psnr(restored, clean) > psnr(degraded, clean)
    assert log_spectrum_distance(restored, clean) < 0.6 * log_spectrum_distance(degraded, clean)


def test_pictures_get_a_self_ensemble_unless_it_is_off(pipeline: FacePipeline, degraded: np.ndarray) -> None:
    crops = as_batch(degraded)
    chosen, on, off = (pipeline.with_settings(self_ensemble=wanted)(crops) for wanted in (None, True, False))
    assert torch.equal(chosen, on) and not torch.equal(on, off)


def test_pictures_come_back_as_what_they_were(pipeline: FacePipeline, degraded: np.ndarray) -> None:
    pipeline = pipeline.with_settings(strength=0.0)
    as_bytes = np.rint(degraded * 255).astype(np.uint8)
    from_bytes, from_pil = pipeline(as_bytes), pipeline(Image.fromarray(as_bytes))
    assert from_bytes.dtype == np.uint8 and from_bytes.shape == as_bytes.shape
    assert isinstance(from_pil, Image.Image)
    np.testing.assert_array_equal(np.asarray(from_pil), from_bytes)
    first, second = pipeline([as_bytes, Image.fromarray(as_bytes)])
    np.testing.assert_array_equal(first, from_bytes)
    np.testing.assert_array_equal(np.asarray(second), from_bytes)
    from_float = pipeline(as_bytes.astype(np.float64) / 255)
    assert from_float.dtype == np.float64
    np.testing.assert_allclose(from_float * 255, from_bytes, atol=0.51)


@pytest.mark.parametrize("side", [96, 200, 300])
def test_aligned_crops_of_any_size_are_taken(pipeline: FacePipeline, side: int) -> None:
    from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS, photograph

    picture = photograph()
    large = extract_crop(picture, align_transform(np.array(PHOTOGRAPH_LANDMARKS), side), side)
    damaged = degrade(large, BAD, np.random.default_rng(0))
    restored = pipeline.with_settings(strength=0.0)(damaged)
    assert restored.shape == large.shape
    assert psnr(restored, large) > psnr(damaged, large)
    assert log_spectrum_distance(restored, large) < log_spectrum_distance(damaged, large)


def test_seed_generator_and_number_of_steps_are_obeyed(pipeline: FacePipeline, degraded: np.ndarray) -> None:
    crops = as_batch(degraded)
    assert not torch.equal(pipeline(crops, seed=1), pipeline(crops, seed=2))
    generators = [torch.Generator().manual_seed(7) for _ in range(2)]
    assert torch.equal(*(pipeline(crops, generator=generator) for generator in generators))
    seen: list[tuple[int, Tensor, dict[str, Any]]] = []
    pipeline(crops, num_inference_steps=2, callback_on_step_end=lambda _, *step: seen.append(step))
    assert [step for step, _, _ in seen] == [0, 1]
    assert seen[0][1] > seen[1][1]
    assert seen[0][2]["denoised"].shape == (1, 3, 128, 128)


@pytest.mark.parametrize("shape", [(1, 3, 64, 32), (3, 128, 128), (1, 1, 128, 128)])
def test_crops_of_another_shape_are_refused(pipeline: FacePipeline, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        pipeline(torch.zeros(shape))


def test_crops_with_unusable_values_are_refused(pipeline: FacePipeline, degraded: np.ndarray) -> None:
    crops = as_batch(degraded)
    for unusable in ((crops * 255).to(torch.uint8), crops * 255, crops * float("nan")):
        with pytest.raises(InputError, match="255"):
            pipeline(unusable)
    assert pipeline(crops[:0]).shape == (0, 3, 128, 128)


def test_options_are_checked(pipeline: FacePipeline) -> None:
    with pytest.raises(InputError, match="strength"):
        pipeline.with_settings(strength=1.5)
    with pytest.raises(ModelError, match="nonsense"):
        FacePipeline.from_pretrained("nonsense")
    with pytest.raises(InputError, match="use auto, cpu, cuda"):
        FacePipeline.from_pretrained("mini", device="tpu9")


def test_a_face_goes_as_far_as_its_frame_and_the_settings_allow(pipeline: FacePipeline) -> None:
    def sides(side: float, **settings: Any) -> list[int]:
        return [stage.resolution for stage in pipeline.with_settings(**settings).stages_for(side)]

    assert sides(100) == sides(130) == [128]
    assert sides(200) == [128, 256]
    assert sides(200, resolution=128) == sides(5000, resolution=64) == [128]
    assert max(sides(5000)) == 256  # auto on a CPU


def test_maps_are_shown_also_where_the_preset_uses_none(pipeline: FacePipeline, degraded: np.ndarray) -> None:
    first = pipeline.stages[0]
    assert first.sampler is not None
    unadjusted = dataclasses.replace(first, sampler=dataclasses.replace(first.sampler, adjuster=None))
    without = dataclasses.replace(pipeline, stages=(unadjusted,)).with_settings(
        guidance_map="none", num_inference_steps=2
    )
    small = np.zeros((8, 8, 3), np.uint8)
    face = DegradedFace(CleanFace("a", degraded), "medium", BAD, small, degraded)
    shown = map_sheet(with_map(without), {"medium": [face]})
    size = pipeline.resolution
    maps = shown[:, size : 5 * size]
    assert shown.shape == (size, 6 * size, 3) and (maps == maps[..., :1]).all()
    assert 255 * 0.4 <= maps.min() < maps.max() - 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded models that may be damaged."""
    copy = tmp_path / "models"
    shutil.copytree(model_folder("mini"), copy)
    return copy


def test_a_model_folder_is_a_name_too(folder: Path, pipeline: FacePipeline, degraded: np.ndarray) -> None:
    loaded = FacePipeline.from_pretrained(folder, device="cpu", strength=0.2)
    assert loaded.settings.strength == 0.2
    assert torch.equal(loaded(as_batch(degraded)), pipeline(as_batch(degraded), strength=0.2))


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([], "coarse to fine"),
        ([{"resolution": 128, "restoration": "restoration"}] * 2, "coarse to fine"),
        ([{"resolution": 128, "restoration": "nothing"}], "missing"),
        ([{"resolution": 128}], "restoration"),
        ("stages", "not"),
    ],
)
def test_a_folder_that_does_not_describe_its_stages_is_refused(folder: Path, stages: Any, reason: str) -> None:
    (folder / INDEX).write_text(json.dumps({"stages": stages}))
    with pytest.raises(ModelError, match=reason):
        FacePipeline.from_pretrained(folder, device="cpu")
