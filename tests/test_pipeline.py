"""The whole method on aligned crops, with the embedded models."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import InputError, ModelError
from dynface_video.faces.align import align_transform, extract_crop
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.models.restoration import RestorationModel
from dynface_video.pipeline import FaceRestorer
from evaluation.faces import CleanFace, DegradedFace
from evaluation.maps import map_sheet, with_map
from training.degradation import Degradation, degrade

BAD = Degradation(blur_x=6, blur_y=6, angle=0, downscale=8, noise=10, jpeg=50)


@pytest.fixture(scope="module")
def restorer() -> FaceRestorer:
    return FaceRestorer.from_preset("mini", device="cpu")


@pytest.fixture(scope="module")
def clean(restorer: FaceRestorer) -> np.ndarray:
    from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS, photograph

    return extract_crop(photograph(), align_transform(np.array(PHOTOGRAPH_LANDMARKS), 128), restorer.resolution)


@pytest.fixture(scope="module")
def degraded(clean: np.ndarray) -> np.ndarray:
    return degrade(clean, BAD, np.random.default_rng(0))


def restore_all(restorer: FaceRestorer, crops: np.ndarray) -> np.ndarray:
    levels, _ = restorer.estimate(crops)
    keys = [NoiseKey(0, i) for i in range(len(crops))]
    return restorer.restore(crops, levels, restorer.starting_step(levels), keys).images


def test_a_restored_face_is_closer_to_the_clean_one(
    restorer: FaceRestorer, clean: np.ndarray, degraded: np.ndarray
) -> None:
    estimate = restorer.restoration(degraded[None])[0]
    assert psnr(estimate, clean) > psnr(degraded, clean) + 0.5
    face = restore_all(restorer, degraded[None])[0]
    assert log_spectrum_distance(face, clean) < 0.6 * log_spectrum_distance(degraded, clean)


def test_worse_faces_have_higher_levels_and_start_earlier(restorer: FaceRestorer, clean: np.ndarray) -> None:
    mild = dataclasses.replace(BAD, blur_x=2, blur_y=2, downscale=2, noise=4, jpeg=90)
    severe = dataclasses.replace(BAD, blur_x=14, blur_y=14, downscale=16, noise=15, jpeg=35)
    crops = np.stack([degrade(clean, d, np.random.default_rng(0)) for d in (mild, BAD, severe)])
    levels, confidences = restorer.estimate(crops)
    assert levels[0] < levels[1] < levels[2]
    assert ((confidences > 0) & (confidences <= 1)).all()
    steps = restorer.starting_step(levels)
    assert steps[0] < steps[1] < steps[2] < 1000


def test_strength_zero_is_the_restoration_model_alone(restorer: FaceRestorer, degraded: np.ndarray) -> None:
    face = restore_all(restorer.with_settings(strength=0.0), degraded[None])
    np.testing.assert_allclose(face, restorer.restoration(degraded[None]), atol=1e-6)


def test_neighbouring_crops_make_the_estimate_better(restorer: FaceRestorer, clean: np.ndarray) -> None:
    seen = np.stack([degrade(clean, BAD, np.random.default_rng(seed)) for seed in range(5)])
    alone = restorer.restoration(seen[:1])[0]
    together = restorer.restoration(seen[:1], [seen[1:]])[0]
    assert psnr(together, clean) > psnr(alone, clean) + 0.5
    assert restorer.estimate(seen[:1], [seen[1:]])[0] != restorer.estimate(seen[:1])[0]


def test_windows_of_several_sizes_go_together(restorer: FaceRestorer, clean: np.ndarray) -> None:
    seen = np.stack([degrade(clean, BAD, np.random.default_rng(seed)) for seed in range(3)])
    windows = [seen[1:], seen[:0], seen[:1]]
    together = restorer.restoration(seen, windows)
    for crop, window, estimate in zip(seen, windows, together, strict=True):
        np.testing.assert_allclose(restorer.restoration(crop[None], [window])[0], estimate, atol=1e-5)
    np.testing.assert_allclose(restorer.restoration(seen[1:2])[0], together[1], atol=1e-5)


def test_a_model_of_single_crops_wants_no_window(restorer: FaceRestorer) -> None:
    single = dataclasses.replace(restorer.restoration_model.config, fusion=0)
    assert dataclasses.replace(restorer, restoration_model=RestorationModel(single)).window_radius == 0
    assert restorer.with_settings(window_radius=3).window_radius == 3


def test_tensors_in_and_out(restorer: FaceRestorer, degraded: np.ndarray) -> None:
    crops = torch.from_numpy(degraded).permute(2, 0, 1)[None]
    faces = restorer(crops)
    assert faces.shape == crops.shape and faces.dtype == crops.dtype
    assert faces.min() >= 0 and faces.max() <= 1
    assert torch.equal(faces, restorer(crops))


def test_the_gradient_through_the_network_follows_the_guide(restorer: FaceRestorer, degraded: np.ndarray) -> None:
    estimate = restorer.restoration(degraded[None])[0]
    faces = {
        scale: restore_all(
            restorer.with_settings(guidance="gradient", guidance_scale=scale, num_inference_steps=30), degraded[None]
        )[0]
        for scale in (0.0, 3.0)
    }
    assert psnr(faces[3.0], estimate) > psnr(faces[0.0], estimate) + 0.1


def test_without_guidance_the_face_goes_its_own_way(restorer: FaceRestorer, degraded: np.ndarray) -> None:
    estimate = restorer.restoration(degraded[None])[0]
    unguided = restore_all(restorer.with_settings(guidance="none"), degraded[None])[0]
    assert psnr(unguided, estimate) < psnr(restore_all(restorer, degraded[None])[0], estimate) - 1


def test_no_crop_is_no_work(restorer: FaceRestorer) -> None:
    nothing = np.zeros((0, restorer.resolution, restorer.resolution, 3), np.float32)
    result = restorer.restore(nothing, np.zeros(0), np.zeros(0, np.int64), [])
    assert len(result.images) == 0 and result.unet_evaluations == 0


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 128, 128), (1, 1, 128, 128)])
def test_crops_of_another_shape_are_refused(restorer: FaceRestorer, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="crops have shape"):
        restorer(torch.zeros(shape))


def test_crops_with_unusable_values_are_refused(restorer: FaceRestorer, degraded: np.ndarray) -> None:
    crops = torch.from_numpy(degraded).permute(2, 0, 1)[None]
    for unusable in ((crops * 255).to(torch.uint8), crops * 255, crops * float("nan")):
        with pytest.raises(InputError, match="255"):
            restorer(unusable)
    assert restorer(crops[:0]).shape == (0, 3, restorer.resolution, restorer.resolution)


def test_options_are_checked(restorer: FaceRestorer) -> None:
    with pytest.raises(InputError, match="strength"):
        restorer.with_settings(strength=1.5)
    with pytest.raises(InputError, match="nonsense"):
        FaceRestorer.from_preset("nonsense")


def test_a_trained_map_without_weights_is_refused_before_any_work(restorer: FaceRestorer) -> None:
    unadjusted = dataclasses.replace(restorer.with_settings(guidance_map="none"), adjuster=None)
    with pytest.raises(ModelError, match="guidance map"):
        unadjusted.with_settings(guidance_map="trained")


def test_maps_are_shown_also_where_the_preset_uses_none(restorer: FaceRestorer, degraded: np.ndarray) -> None:
    without = dataclasses.replace(restorer.with_settings(guidance_map="none", num_inference_steps=2), adjuster=None)
    small = np.zeros((8, 8, 3), np.uint8)
    face = DegradedFace(CleanFace("a", degraded), "medium", BAD, small, degraded)
    shown = map_sheet(with_map(without), {"medium": [face]})
    size = restorer.resolution
    maps = shown[:, size : 5 * size]
    assert shown.shape == (size, 6 * size, 3) and (maps == maps[..., :1]).all()
    assert 255 * 0.4 <= maps.min() < maps.max() - 20


def test_detail_above_the_crop_is_kept_only_where_it_can_be_real(restorer: FaceRestorer) -> None:
    kept = restorer.source_detail_weight(np.array([0.0, 0.5, 1.0, 1.5, 6.0]))
    assert kept.tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
