from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from dynface_video.metrics.fidelity import psnr
from evaluated_faces import SIZE, picture
from evaluation.baselines import classical_baselines, true_kernel
from evaluation.faces import CleanFace, DegradedFace
from training.degradation import Degradation, degrade, degrade_small


@pytest.mark.parametrize(("downscale", "tolerance"), [(1.0, 0.01), (24.0, 0.03)])
def test_the_true_kernel_does_what_the_degradation_does(downscale: float, tolerance: float) -> None:
    size = 128
    degradation = Degradation(blur_x=8, blur_y=14, angle=0.6, downscale=downscale, noise=0)
    image = picture(3, size)
    expected = degrade(image, degradation, np.random.default_rng(0))
    kernel = true_kernel(degradation, size, sampling=True)
    predicted = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT)
    without = cv2.filter2D(image, -1, true_kernel(degradation, size, sampling=False), borderType=cv2.BORDER_REFLECT)
    inner = np.s_[24:-24, 24:-24]
    assert np.abs(predicted - expected)[inner].max() < tolerance
    if downscale > 1:
        assert psnr(predicted[inner], expected[inner]) > psnr(without[inner], expected[inner]) + 3


@pytest.mark.parametrize("name", ["nlm", "richardson_lucy", "wiener"])
def test_a_tuned_baseline_takes_the_setting_that_is_best_against_the_truth(
    faces: dict[str, list[DegradedFace]], name: str
) -> None:
    few = faces["mild"][:2]
    baseline = replace(classical_baselines()[name], settings=classical_baselines()[name].settings[:4])
    chosen = baseline.tuned(few)

    def score(setting: Any) -> float:
        return float(np.mean([psnr(baseline.function(face, *setting), face.clean.image) for face in few]))

    assert score(chosen.chosen) == pytest.approx(max(score(setting) for setting in baseline.settings))
    restored, evaluations = chosen.restore(few)
    assert restored.shape == (2, SIZE, SIZE, 3) and evaluations == 0
    assert restored.min() >= 0 and restored.max() <= 1


def test_deconvolution_sharpens_a_clean_blur(clean: list[CleanFace]) -> None:
    degradation = Degradation(blur_x=8, blur_y=8, angle=0, downscale=1, noise=0)
    small = degrade_small(clean[0].image, degradation, np.random.default_rng(0))
    face = DegradedFace(clean[0], "mild", degradation, small, small.astype(np.float32) / 255)
    for name in ("richardson_lucy", "wiener"):
        restored, _ = classical_baselines()[name].tuned([face]).restore([face])
        assert psnr(restored[0], clean[0].image) > psnr(face.image, clean[0].image) + 1


def test_lanczos_differs_from_cubic_only_where_the_picture_was_shrunk(faces: dict[str, list[DegradedFace]]) -> None:
    lanczos = classical_baselines()["lanczos"]
    for face in (faces["mild"][0], faces["severe"][0]):
        same = np.array_equal(lanczos.restore([face])[0][0], face.image)
        assert same == (face.small.shape[0] == SIZE)
