"""Levels and starting steps over time."""

import numpy as np
import pytest

from dynface_video.temporal.level_smoothing import hampel, hold_steps, smooth_levels


def test_a_single_wild_reading_changes_nothing() -> None:
    positions = np.arange(0, 60, 3)
    levels = np.full(20, 1.5 / 128)
    levels[7] = 6.0 / 128
    smoothed = smooth_levels(positions, levels, np.ones(20), 60, std=4)
    np.testing.assert_allclose(128 * smoothed, 1.5, atol=1e-7)


def test_noise_is_reduced_without_lag() -> None:
    frames = np.arange(200)
    truth = 2 + np.sin(2 * np.pi * frames / 100)
    noisy = np.exp(np.log(truth) + np.random.default_rng(0).normal(0, 0.1, 200))
    smoothed = 128 * smooth_levels(frames, noisy / 128, np.ones(200), 200, std=4)
    inner = slice(20, -20)
    assert np.abs(smoothed - truth)[inner].mean() < 0.5 * np.abs(noisy - truth)[inner].mean()
    errors = [np.abs(smoothed[inner] - np.roll(truth, shift)[inner]).mean() for shift in (-4, 0, 4)]
    assert errors[1] < errors[0] and errors[1] < errors[2]


def test_unsure_readings_weigh_little() -> None:
    positions = np.arange(10)
    levels = np.where(positions % 2 == 0, 1.0, 1.15)
    trusting_even = np.where(positions % 2 == 0, 1.0, 0.01)
    smoothed = 128 * smooth_levels(positions, levels / 128, trusting_even, 10, std=3)
    np.testing.assert_allclose(smoothed, 1.0, atol=0.01)


def test_without_smoothing_readings_are_taken_as_they_are() -> None:
    levels = np.array([1.0, 1.1, 5.0, 1.0, 1.1])
    np.testing.assert_allclose(smooth_levels(np.arange(5), levels, np.ones(5), 5, std=0), levels)


def test_one_reading_serves_the_whole_track() -> None:
    np.testing.assert_allclose(smooth_levels(np.array([4]), np.array([2.0]), np.ones(1), 9, std=4), 2.0)


def test_no_reading_is_an_error() -> None:
    with pytest.raises(ValueError, match="without any level"):
        smooth_levels(np.array([]), np.array([]), np.array([]), 5, std=1)


def test_a_true_change_of_level_is_not_an_outlier() -> None:
    assert not hampel(np.repeat([0.0, 1.0], 10)).any()


def test_steps_are_held_until_they_must_change() -> None:
    held = hold_steps(np.array([400, 410, 390, 420, 460, 455, 440]), band=0.06)
    assert held.tolist() == [400, 400, 400, 400, 460, 460, 460]


def test_step_zero_is_entered_and_left_at_once() -> None:
    assert hold_steps(np.array([0, 300, 0, 10]), band=0.06).tolist() == [0, 300, 0, 10]
    assert hold_steps(np.array([400, 401, 399]), band=0.0).tolist() == [400, 401, 399]


def test_a_face_about_the_least_step_is_sampled_in_all_frames_or_in_none() -> None:
    assert hold_steps(np.array([82, 78, 81, 74, 79]), band=0.1, least=80).tolist() == [82] * 5
    assert hold_steps(np.array([70, 79, 78, 79]), band=0.1, least=80).tolist() == [0] * 4
    assert hold_steps(np.array([90, 60, 75, 85]), band=0.1, least=80).tolist() == [90, 0, 0, 85]
