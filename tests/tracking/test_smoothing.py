"""Landmarks over time: less jitter, no lag, no outliers."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from dynface_video.faces.align import TEMPLATE_512, align_transform, apply_transform, template
from dynface_video.tracking.smoothing import join_pose, local_linear, outliers, smooth_landmarks, split_pose

FACE = (TEMPLATE_512 - TEMPLATE_512.mean(axis=0)) / 512 * 256


def moving(length: int, speed: float, *, turn: float = 0.0, growth: float = 0.0) -> np.ndarray:
    frames = np.arange(length)
    poses = np.stack([growth * frames, turn * frames, 300 + speed * frames, 200 - 0.5 * speed * frames], axis=1)
    return np.stack(
        [
            np.exp(p[0]) * FACE @ np.array([[np.cos(p[1]), np.sin(p[1])], [-np.sin(p[1]), np.cos(p[1])]]) + p[2:]
            for p in poses
        ]
    )


def smooth(points: np.ndarray, smoothing: float = 2.0) -> np.ndarray:
    return smooth_landmarks(points, np.ones(points.shape[:2]), np.ones(len(points), bool), smoothing=smoothing)


def crop_jitter(points: np.ndarray, size: int = 256) -> float:
    """Root mean square movement of the template in the crop from frame to frame, pixels."""
    transforms = [align_transform(p, size) for p in points]
    centre = points.mean(axis=(0, 1))
    places = np.array([apply_transform(t, centre + FACE) for t in transforms])
    return float(np.sqrt(np.square(np.diff(places, axis=0)).sum(axis=2).mean()))


def test_splitting_and_joining_a_pose_changes_nothing() -> None:
    points = moving(10, 5, turn=0.3, growth=0.02) + np.random.default_rng(0).normal(0, 2, (10, 5, 2))
    np.testing.assert_allclose(join_pose(*split_pose(points)), points, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("smoothing", [0.0, 2.0, 5.0])
def test_steady_movement_is_left_as_it_is_up_to_the_ends(length: int, smoothing: float) -> None:
    points = moving(length, 7.0, turn=0.01, growth=0.003)
    np.testing.assert_allclose(smooth(points, smoothing), points, atol=0.35)


def test_a_nod_is_not_delayed() -> None:
    points = moving(100, 0) + 10 * np.sin(2 * np.pi * np.arange(100) / 25)[:, None, None] * [0, 1]
    smoothed = smooth(points)
    error = [np.abs(smoothed[10:-10] - np.roll(points, shift, 0)[10:-10]).max() for shift in (-1, 0, 1)]
    assert error[1] < 1.5 < min(error[0], error[2])


def test_the_crop_of_a_still_face_does_not_jitter() -> None:
    points = moving(200, 0) + np.random.default_rng(0).normal(0, 1.0, (200, 5, 2))
    assert crop_jitter(points) > 0.9
    assert crop_jitter(smooth(points)) < 0.15


def test_the_crop_of_a_still_face_stays_where_it_is() -> None:
    # What is drawn into a crop trembles with it, however slowly the crop wanders.
    rng, length = np.random.default_rng(0), 120
    noise = rng.normal(0, 0.7, (length, 5, 2)) + gaussian_filter1d(rng.normal(0, 1.0, (length, 5, 2)), 2, axis=0)
    centres = smooth(moving(length, 0) + noise).mean(axis=1)
    assert centres.std(axis=0).max() < 0.1 < noise.mean(axis=1).std(axis=0).min()


def test_a_slow_head_is_not_taken_for_a_still_one() -> None:
    points = moving(96, 0) + 8 * np.sin(2 * np.pi * np.arange(96) / 48)[:, None, None] * [1, 0]
    assert np.abs(smooth(points) - points)[8:-8].max() < 1.0


def test_a_wild_frame_leaves_no_trace() -> None:
    points = moving(60, 2.0) + np.random.default_rng(0).normal(0, 0.3, (60, 5, 2))
    wild = points.copy()
    wild[30] += [40, -25]
    wild[45] = wild[45] * 1.3 - 0.3 * wild[45].mean(axis=0)
    assert np.abs(smooth(wild) - smooth(points)).max() < 0.5


def test_a_wild_point_leaves_its_neighbours_alone() -> None:
    points = moving(60, 0.0)
    wild = points.copy()
    wild[30, 2] += [0, 25]
    assert np.abs(smooth(wild) - points).max() < 0.5


def test_a_lively_head_stays_in_its_crop() -> None:
    points = moving(100, 0) + 40 * np.sin(2 * np.pi * np.arange(100) / 14)[:, None, None] * [1, 0]
    assert np.abs(smooth(points) - points)[5:-5].max() < 6


def test_unsure_frames_weigh_little() -> None:
    points = moving(60, 0.0)
    noise = np.random.default_rng(0).normal(0, 4.0, (60, 1, 2)) * (np.arange(60) % 2)[:, None, None]
    deviation = np.where(np.arange(60) % 2, 8.0, 0.5)[:, None] * np.ones(5)
    known = smooth_landmarks(points + noise, deviation, np.ones(60, bool), smoothing=2.0)
    unknown = smooth(points + noise)
    assert np.abs(known - points).mean() < 0.5 * np.abs(unknown - points).mean()


def test_bridged_frames_follow_the_seen_ones() -> None:
    points = moving(40, 3.0)
    observed = np.ones(40, bool)
    observed[15:25] = False
    wrong = points.copy()
    wrong[15:25] += 1.5
    smoothed = smooth_landmarks(wrong, np.ones((40, 5)), observed, smoothing=2.0)
    assert np.abs(smoothed - points)[:14].max() < 0.3
    assert np.abs(smoothed - points)[26:].max() < 0.3


def test_turning_over_the_half_circle_does_not_tear() -> None:
    points = moving(80, 0.0, turn=0.12)
    np.testing.assert_allclose(smooth(points), points, atol=0.6)


def test_a_step_is_no_outlier() -> None:
    assert not outliers(np.repeat([[0.0], [1.0]], 10, axis=0), 0.05).any()


def test_values_without_any_weight_are_kept() -> None:
    values = np.arange(5.0)[:, None]
    np.testing.assert_allclose(local_linear(values, np.zeros((5, 1)), 1.0), values, atol=1e-5)


def test_the_template_is_scaled_about_pixel_centres() -> None:
    np.testing.assert_allclose(template(256), (TEMPLATE_512 - 0.5) / 2, atol=1e-12)
