from __future__ import annotations

import cv2
import numpy as np

from dynface_video.cli.demo_clip import (
    FRAMES,
    HEIGHT,
    WIDTH,
    DemoDamage,
    camera,
    clean_frame,
    damaged_frame,
    landmarks,
    photograph,
)


def test_the_camera_never_looks_past_the_photograph() -> None:
    corners = np.array([[0, 0], [WIDTH - 1, 0], [WIDTH - 1, HEIGHT - 1], [0, HEIGHT - 1]], np.float64)
    for index in range(FRAMES):
        inverse = cv2.invertAffineTransform(camera(index))
        seen = corners @ inverse[:, :2].T + inverse[:, 2]
        assert seen.min() >= 0 and seen.max() <= 511, index


def test_the_camera_moves_every_frame_but_never_jumps() -> None:
    steps = [np.abs(landmarks(i + 1) - landmarks(i)).max() for i in range(FRAMES - 1)]
    assert min(steps) > 0 and max(steps) < 3


def test_landmarks_follow_the_picture() -> None:
    marked = photograph().copy()
    marked[:] = 0
    cv2.circle(marked, (224, 128), 3, (255, 255, 255), -1)
    for index in (0, 40, FRAMES - 1):
        weight = clean_frame(marked, index)[..., 0].astype(np.float64)
        y, x = np.indices(weight.shape)
        centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        assert np.abs(centre - landmarks(index)[2]).max() < 1


def test_noise_is_fresh_in_every_frame_and_the_same_in_every_run() -> None:
    frame = clean_frame(photograph(), 0)
    first, second = (damaged_frame(frame, index, DemoDamage(), 0) for index in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, damaged_frame(frame, 0, DemoDamage(), 0))
