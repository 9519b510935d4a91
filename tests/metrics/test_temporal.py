"""Steadiness is measured as defined: known motion, known noise, known flicker."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dynface_video.faces.align import template
from dynface_video.metrics.temporal import flicker, flow_warped_error, flow_warped_errors, landmark_motion_error

SIZE, FRAMES = 64, 6
MASK = np.ones((SIZE, SIZE), np.float32)


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((2 * SIZE, 2 * SIZE, 1)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.repeat((0.5 + 0.2 * smooth / smooth.std()).clip(0, 1)[..., None], 3, axis=2)


def moving(step: int) -> np.ndarray:
    picture = texture()
    return np.stack([picture[:SIZE, step * t : step * t + SIZE] for t in range(FRAMES)])


def test_motion_that_the_reference_shares_is_no_error() -> None:
    still = np.repeat(template(128)[None], FRAMES, axis=0)
    walking = still + np.arange(FRAMES)[:, None, None]
    assert landmark_motion_error(walking + 3, walking) == pytest.approx(0, abs=1e-9)
    eyes = np.linalg.norm(still[0, 1] - still[0, 0])
    assert landmark_motion_error(walking, still) == pytest.approx(100 * np.sqrt(2) / eyes)


def test_jitter_counts_in_percent_of_the_eye_distance() -> None:
    still = np.repeat(template(128)[None], FRAMES, axis=0)
    trembling = still.copy()
    trembling[1::2, :, 0] += 1.0
    eyes = np.linalg.norm(still[0, 1] - still[0, 0])
    assert landmark_motion_error(trembling, still) == pytest.approx(100 / eyes)


def test_a_face_that_only_moves_has_little_error_along_the_flow() -> None:
    clip = moving(1)
    inner = np.zeros_like(MASK)
    inner[8:-8, 8:-8] = 1
    along = flow_warped_error(clip, clip, inner)
    plain = 255 * np.abs(np.diff(clip[..., 0], axis=0))[:, 8:-8, 8:-8].mean()
    assert along < 0.25 * plain


def test_fresh_noise_is_seen_along_the_flow_and_blur_is_not() -> None:
    clip = moving(1)
    noisy = clip + np.random.default_rng(1).normal(0, 0.02, (FRAMES, SIZE, SIZE, 1))
    blurred = np.stack([cv2.GaussianBlur(crop, (0, 0), 2) for crop in noisy])
    own, fresh = flow_warped_error(clip, clip, MASK), flow_warped_error(noisy, clip, MASK)
    assert fresh > own + 3
    assert flow_warped_error(blurred, clip, MASK) < 0.4 * fresh


def test_flicker_is_the_deviation_over_time_inside_the_mask() -> None:
    clip = np.full((2, SIZE, SIZE, 3), 0.5)
    half = MASK.copy()
    half[:, SIZE // 2 :] = 0
    clip[1, :, : SIZE // 2] += 0.1
    assert flicker(clip, half) == pytest.approx(255 * 0.05, rel=1e-4)
    assert flicker(clip, 1 - half) == 0


def test_clips_that_do_not_fit_together_are_refused() -> None:
    clip = moving(0)
    for other in (clip[:-1], clip[:, :-1]):
        with pytest.raises(ValueError, match="one shape"):
            flow_warped_error(clip, other, MASK)
    with pytest.raises(ValueError, match="two frames"):
        landmark_motion_error(np.zeros((1, 5, 2)), np.zeros((1, 5, 2)))


def test_clips_with_one_reference_are_measured_as_each_alone() -> None:
    clip = np.random.default_rng(4).random((3, 32, 32, 3)).astype(np.float32)
    others = [clip, np.clip(clip + 0.05, 0, 1), clip[:, ::-1].copy()]
    mask = np.ones((32, 32), np.float32)
    assert flow_warped_errors(others, clip, mask) == [flow_warped_error(one, clip, mask) for one in others]
