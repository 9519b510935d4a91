"""The method at one resolution, with the embedded models of the first stage."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import InputError, ModelError
from dynface_video.faces.align import align_transform, extract_crop
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.models.restoration import RestorationModel
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Stage, StageConfig, source_detail_weight
from training.degradation import Degradation, degrade

BAD = Degradation(blur_x=6, blur_y=6, angle=0, downscale=8, noise=10, jpeg=50)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return FacePipeline.from_pretrained("mini", device="cpu").stages[0]


@pytest.fixture(scope="module")
def clean(stage: Stage) -> np.ndarray:
    from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS, photograph

    return extract_crop(photograph(), align_transform(np.array(PHOTOGRAPH_LANDMARKS), 128), stage.resolution)


@pytest.fixture(scope="module")
def degraded(clean: np.ndarray) -> Tensor:
    return to_tensor(degrade(clean, BAD, np.random.default_rng(0))[None])


def changed(stage: Stage, **changes: Any) -> Stage:
    return stage.with_settings(stage.settings.model_copy(update=changes))


def restored(stage: Stage, crops: Tensor) -> np.ndarray:
    estimates = stage.regress(crops)
    levels = stage.estimate_levels(estimates)[0].double().numpy()
    keys = [NoiseKey(0, i) for i in range(len(crops))]
    return to_array(stage.sample(estimates.estimate, levels, stage.starting_steps(levels), keys).faces)


def estimate_of(stage: Stage, crops: Tensor, windows: Any = ()) -> np.ndarray:
    return to_array(stage.regress(crops, None, windows).estimate)


def test_a_restored_face_is_closer_to_the_clean_one(stage: Stage, clean: np.ndarray, degraded: Tensor) -> None:
    before = to_array(degraded)[0]
    assert psnr(estimate_of(stage, degraded)[0], clean) > psnr(before, clean) + 0.5
    face = restored(stage, degraded)[0]
    assert log_spectrum_distance(face, clean) < 0.6 * log_spectrum_distance(before, clean)


def test_worse_faces_have_higher_levels_and_start_earlier(stage: Stage, clean: np.ndarray) -> None:
    mild = dataclasses.replace(BAD, blur_x=2, blur_y=2, downscale=2, noise=4, jpeg=90)
    severe = dataclasses.replace(BAD, blur_x=14, blur_y=14, downscale=16, noise=15, jpeg=35)
    crops = to_tensor(np.stack([degrade(clean, d, np.random.default_rng(0)) for d in (mild, BAD, severe)]))
    levels, confidences = (values.numpy() for values in stage.estimate_levels(stage.regress(crops)))
    assert 0 < levels[0] < levels[1] < levels[2] < 0.1
    assert ((confidences > 0) & (confidences <= 1)).all()
    steps = stage.starting_steps(levels)
    assert steps[0] < steps[1] < steps[2] < 1000


def test_strength_zero_is_the_restoration_model_alone(stage: Stage, degraded: Tensor) -> None:
    face = restored(changed(stage, strength=0.0), degraded)
    np.testing.assert_allclose(face, estimate_of(stage, degraded), atol=1e-6)


def test_neighbouring_crops_make_the_estimate_better(stage: Stage, clean: np.ndarray) -> None:
    seen = to_tensor(np.stack([degrade(clean, BAD, np.random.default_rng(seed)) for seed in range(5)]))
    single = stage.regress(seen[:1])
    together = stage.regress(seen[:1], None, [seen[1:]])
    assert psnr(to_array(together.estimate)[0], clean) > psnr(to_array(single.estimate)[0], clean) + 0.5
    assert stage.estimate_levels(together)[0] != stage.estimate_levels(single)[0]


def test_an_estimate_and_that_of_the_mirrored_crop_are_averaged(
    stage: Stage, clean: np.ndarray, degraded: Tensor
) -> None:
    stage, estimates = changed(stage, self_ensemble=True), stage.regress(degraded)
    both = stage.self_ensemble(estimates, degraded)
    other = stage.regress(degraded.flip(-1)).estimate.flip(-1)
    torch.testing.assert_close(both, (estimates.estimate + other) / 2)
    single = [psnr(to_array(one)[0], clean) for one in (estimates.estimate, other)]
    assert psnr(to_array(both)[0], clean) > np.mean(single) + 0.05
    for unwanted in (False, None):
        assert changed(stage, self_ensemble=unwanted).self_ensemble(estimates, degraded) is estimates.estimate
    alone = dataclasses.replace(stage, config=dataclasses.replace(stage.config, self_ensemble=False))
    assert alone.self_ensemble(estimates, degraded) is estimates.estimate


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_read_beside_a_crop_is_mirrored_with_it(number: int, clean: np.ndarray, degraded: Tensor) -> None:
    stages = FacePipeline.from_pretrained("mini", device="cpu").stages
    assert [one.config.self_ensemble for one in stages] == [True, True, False]
    stage = changed(stages[number], self_ensemble=True)
    size = (stage.resolution, stage.resolution)
    crop, coarse = (torch.nn.functional.interpolate(one, size) for one in (degraded, to_tensor(clean[None])))
    near = [to_tensor(np.stack([degrade(clean, BAD, np.random.default_rng(seed)) for seed in (1, 2)]))]
    read = (crop, None, near) if number == 0 else (crop, coarse)
    mirrored = (crop.flip(-1), None, [near[0].flip(-1)]) if number == 0 else (crop.flip(-1), coarse.flip(-1))
    one, other = (stage.self_ensemble(stage.regress(*given), *given) for given in (read, mirrored))
    torch.testing.assert_close(one, other.flip(-1))
    assert (stage.regress(*read).estimate - one).abs().mean() > 1e-4


def test_windows_of_several_sizes_go_together(stage: Stage, clean: np.ndarray) -> None:
    seen = to_tensor(np.stack([degrade(clean, BAD, np.random.default_rng(seed)) for seed in range(3)]))
    windows = [seen[1:], seen[:0], seen[:1]]
    together = estimate_of(stage, seen, windows)
    for crop, window, estimate in zip(seen, windows, together, strict=True):
        np.testing.assert_allclose(estimate_of(stage, crop[None], [window])[0], estimate, atol=1e-5)
    np.testing.assert_allclose(estimate_of(stage, seen[1:2])[0], together[1], atol=1e-5)


def test_a_model_of_single_crops_wants_no_window(stage: Stage) -> None:
    single = RestorationModel.from_config(stage.restoration.config, fusion_channels=0)  # type: ignore[attr-defined]
    assert dataclasses.replace(stage, restoration=single).window_radius == 0
    assert changed(stage, window_radius=3).window_radius == 3


def test_the_gradient_through_the_network_follows_the_guide(stage: Stage, degraded: Tensor) -> None:
    estimate = estimate_of(stage, degraded)[0]
    faces = {
        scale: restored(changed(stage, guidance="gradient", guidance_scale=scale, num_inference_steps=30), degraded)[0]
        for scale in (0.0, 3.0)
    }
    assert psnr(faces[3.0], estimate) > psnr(faces[0.0], estimate) + 0.02


def test_without_guidance_the_face_goes_its_own_way(stage: Stage, degraded: Tensor) -> None:
    estimate = estimate_of(stage, degraded)[0]
    unguided = restored(changed(stage, guidance="none"), degraded)[0]
    assert psnr(unguided, estimate) < psnr(restored(stage, degraded)[0], estimate) - 1


def test_no_crop_is_no_work(stage: Stage) -> None:
    nothing = torch.zeros(0, 3, stage.resolution, stage.resolution)
    assert len(stage.regress(nothing).estimate) == 0
    result = stage.sample(nothing, np.zeros(0), np.zeros(0, np.int64), [])
    assert len(result.faces) == 0 and result.unet_evaluations == 0


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 128, 128), (1, 1, 128, 128)])
def test_crops_of_another_shape_are_refused(stage: Stage, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"crops have shape .*; this stage takes \(B, 3, 128, 128\)"):
        stage.regress(torch.zeros(shape))


def test_a_trained_map_without_weights_is_refused_at_construction(stage: Stage) -> None:
    assert stage.sampler is not None
    unadjusted = dataclasses.replace(
        changed(stage, guidance_map="none"), sampler=dataclasses.replace(stage.sampler, adjuster=None)
    )
    with pytest.raises(ModelError, match="guidance map"):
        changed(unadjusted, guidance_map="trained")


def test_faces_that_need_nothing_are_not_sampled(stage: Stage, degraded: Tensor) -> None:
    careful = dataclasses.replace(stage, config=dataclasses.replace(stage.config, least_starting_step=300))
    levels = np.array([0.05, 3.0]) / 128
    assert careful.starting_steps(levels)[0] == 0 < 300 <= careful.starting_steps(levels)[1]
    estimate = stage.regress(degraded).estimate
    result = careful.sample(estimate, levels[:1], careful.starting_steps(levels[:1]), [NoiseKey(0, 0)])
    assert result.unet_evaluations == 0
    np.testing.assert_allclose(result.faces, estimate, atol=1e-6)


def test_a_stage_without_a_sampler_reads_no_level_and_draws_nothing(stage: Stage, degraded: Tensor) -> None:
    plain = dataclasses.replace(stage, sampler=None)
    assert plain.starting_steps(np.array([0.02, 0.05])).tolist() == [0, 0]
    np.testing.assert_array_equal(plain.sample(degraded, np.array([0.02]), np.array([0]), []).faces, degraded)
    with pytest.raises(ModelError, match="no blur estimator"):
        plain.estimate_levels(plain.regress(degraded))


def test_bfloat16_gives_nearly_the_same_estimate(stage: Stage, degraded: Tensor) -> None:
    half = dataclasses.replace(stage, dtype=torch.bfloat16)
    estimate = half.regress(degraded).estimate
    assert estimate.dtype == torch.float32
    assert psnr(to_array(estimate)[0], estimate_of(stage, degraded)[0]) > 35


def test_detail_above_the_last_stage_is_kept_only_where_it_can_be_real() -> None:
    kept = [source_detail_weight(pixels / 128, 128) for pixels in (0.0, 0.5, 1.0, 1.5, 6.0)]
    assert kept == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_a_stage_is_described_completely_or_refused() -> None:
    assert StageConfig.from_dict({"resolution": 96, "restoration": "rm"}).prior is None
    for values, reason in (
        ({"resolution": 96}, "restoration"),
        ({"resolution": 96, "restoration": "rm", "colour": 1}, "colour"),
        ({"resolution": 96, "restoration": "rm", "prior": "prior"}, "starting_steps"),
    ):
        with pytest.raises(ModelError, match=reason):
            StageConfig.from_dict(values)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_in_fixed_batches_a_face_is_the_same_whichever_share_its_batch(stage: Stage, count: int) -> None:
    fixed = dataclasses.replace(changed(stage, batch_size=4), fixed_batches=True)
    size = (7, 3, stage.resolution, stage.resolution)
    crops = torch.rand(size, generator=torch.Generator().manual_seed(0))
    windows = list(torch.rand(7, 2, *size[1:], generator=torch.Generator().manual_seed(1)))
    keys = [NoiseKey(0, i) for i in range(7)]
    levels, steps = np.linspace(0.004, 0.02, 7), np.array([120, 400, 90, 300, 200, 500, 150])

    def made(rows: slice) -> tuple[Tensor, Tensor]:
        estimate = fixed.regress(crops[rows], None, windows[rows]).estimate
        return estimate, fixed.sample(crops[rows], levels[rows], steps[rows], keys[rows]).faces

    whole = made(slice(None))
    parts = [made(slice(first, first + count)) for first in range(0, 7, count)]
    for all_of_them, some in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(some), all_of_them)
