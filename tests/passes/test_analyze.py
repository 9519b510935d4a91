"""Readings find their track, one face a shot, and faces that come and go softly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.io.read import FrameIndex
from dynface_video.media.timing.shots import Shot, ShotDetector
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.analyze import assign_readings
from dynface_video.passes.choosing import keep_largest
from dynface_video.passes.level_reader import LevelReading
from dynface_video.passes.restore import fade
from dynface_video.tracking.observation import FADE_FRAMES, FaceTrack

FACE = np.array([[-10, -10], [10, -10], [0, 0], [-8, 10], [8, 10]], np.float32)


def track(number: int, start: int, stop: int, centre: tuple[float, float], scale: float = 1.0) -> FaceTrack:
    length = stop - start
    landmarks = np.repeat((FACE * scale + np.array(centre, np.float32))[None], length, axis=0)
    return FaceTrack(number, start, landmarks, np.ones(length, bool), np.ones(length, np.float32))


def analyzed(track: FaceTrack) -> AnalyzedTrack:
    length = track.stop - track.start
    return AnalyzedTrack(track, np.ones((1, length)), np.ones((1, length), np.int64), grey=False)


def reading(frame: int, centre: tuple[float, float], level: float = 1.0) -> LevelReading:
    return LevelReading(frame, np.array(centre), (level,), (1.0,), False)


def test_readings_go_to_the_nearest_face_of_their_frame() -> None:
    tracks = [track(0, 0, 10, (50, 50)), track(1, 5, 20, (150, 50))]
    readings = [reading(3, (52, 50)), reading(6, (149, 51)), reading(6, (50, 50)), reading(12, (50, 50))]
    left, right = assign_readings(tracks, readings)
    assert [r.frame for r in left] == [3, 6]
    assert [r.frame for r in right] == [6]


def test_largest_keeps_one_face_a_shot_whatever_a_single_frame_says() -> None:
    shots = [Shot(0, 20), Shot(20, 40)]
    steady, brief = track(0, 0, 20, (50, 50)), track(1, 4, 8, (150, 50), scale=2.0)
    other = track(2, 20, 40, (80, 50), scale=0.5)
    kept = keep_largest([analyzed(t) for t in (steady, brief, other)], shots)
    assert [t.restore for t in kept] == [True, False, True]


@pytest.mark.parametrize(("start", "stop"), [(0, 30), (8, 23), (7, 22)])
def test_only_ends_inside_a_shot_are_faded(start: int, stop: int) -> None:
    one = analyzed(track(0, start, stop, (50, 50)))
    index = FrameIndex(np.arange(30), Fraction(1, 25), (), np.zeros(30, np.uint32))
    analysis = Analysis(index, (Shot(0, 30),), (one,))
    shown = [fade(one, at, analysis) for at in range(stop - start)]
    assert shown == shown[::-1] and max(shown) == 1
    assert (shown[0] == 1) == (start == 0)
    assert all(0 < value <= 1 for value in shown)
    assert max(np.abs(np.diff(shown))) <= 1 / FADE_FRAMES + 1e-9


@pytest.mark.parametrize("length", range(1, 15))
def test_a_short_track_inside_a_shot_is_fully_shown_for_a_third_of_its_length(length: int) -> None:
    one = analyzed(track(0, 8, 8 + length, (50, 50)))
    index = FrameIndex(np.arange(30), Fraction(1, 25), (), np.zeros(30, np.uint32))
    shown = [fade(one, at, Analysis(index, (Shot(0, 30),), (one,))) for at in range(length)]
    assert shown == shown[::-1] and shown.count(1.0) >= max(1, length / 3)


def test_a_face_bridged_over_a_flash_does_not_fade() -> None:
    shots = fed_shots(16, flashes=(5, 9, 10))
    assert shots == [Shot(0, 16)]
    one = analyzed(track(0, 0, 16, (50, 50)))
    index = FrameIndex(np.arange(16), Fraction(1, 25), (), np.zeros(16, np.uint32))
    assert [fade(one, at, Analysis(index, tuple(shots), (one,))) for at in range(16)] == [1.0] * 16


def fed_shots(count: int, *, flashes: tuple[int, ...]) -> list[Shot]:
    """The shots of a still picture in which some frames are white."""
    picture = np.kron(np.random.default_rng(0).integers(0, 255, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    detector = ShotDetector()
    for index in range(count):
        detector.feed(index, np.full_like(picture, 255) if index in flashes else picture)
    return detector.shots(count)
