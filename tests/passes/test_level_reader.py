"""Blur levels are read with the windows and stages that a face will be restored with."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.faces.detection.detector import Detection
from dynface_video.passes.level_reader import LevelReader
from dynface_video.tracking.observation import Observation
from tracing_stages import POINTS, trace_of, tracing


def observation(frame: int, points: np.ndarray, track: int = 0) -> Observation:
    return Observation(
        frame, track, Detection(np.zeros(4, np.float32), points, np.ones(5, np.float32), 1.0), detected=True
    )


def test_levels_are_read_with_the_window_that_the_crop_will_be_restored_with() -> None:
    pipeline = tracing(2)
    reader = LevelReader(pipeline, interval=3)
    picture = np.zeros((64, 64, 3), np.uint8)
    for index in range(8):
        reader.see(index, picture, [observation(index, POINTS + 16)])
    reader.flush()
    assert [reading.frame for reading in reader.readings] == [0, 3, 6]
    assert trace_of(pipeline).windows == [2, 4, 3]
    assert sum(map(len, reader._crops.values())) <= 2 * 2


def test_a_large_face_gets_a_level_of_every_stage() -> None:
    pipeline = tracing(0, stages=2)
    reader = LevelReader(pipeline, interval=1)
    reader.see(0, np.zeros((128, 128, 3), np.uint8), [observation(0, 4 * POINTS)])
    reader.flush()
    (reading,) = reader.readings
    assert reading.levels == pytest.approx((0.01, 0.01))


def test_every_track_is_read_at_its_own_interval() -> None:
    reader = LevelReader(tracing(0), interval=3)
    for index in range(7):
        seen = [observation(index, POINTS + 16, track=0)]
        if index >= 2:
            seen.append(observation(index, POINTS + 40, track=1))
        reader.see(index, np.zeros((96, 96, 3), np.uint8), seen)
    reader.flush()
    assert sorted((float(reading.centre[0]) > 40, reading.frame) for reading in reader.readings) == [
        (False, 0),
        (False, 3),
        (False, 6),
        (True, 2),
        (True, 5),
    ]


def test_a_crop_without_colour_is_grey() -> None:
    reader = LevelReader(tracing(0), interval=1)
    picture = np.random.default_rng(0).integers(40, 200, (96, 96, 3), np.uint8)
    reader.see(0, picture, [observation(0, POINTS + 16)])
    reader.see(1, np.repeat(picture[..., :1], 3, axis=2), [observation(1, POINTS + 16)])
    reader.flush()
    assert [reading.grey for reading in reader.readings] == [False, True]
