"""Which faces get no colour."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analyze import grey_tracks
from dynface_video.passes.level_reader import LevelReading
from dynface_video.tracking.observation import FaceTrack

SHOTS = [Shot(0, 10), Shot(10, 20)]


def track(number: int, start: int) -> FaceTrack:
    return FaceTrack(number, start, np.zeros((10, 5, 2), np.float32), np.ones(10, bool), np.ones(10, np.float32))


def readings(*grey: bool) -> list[LevelReading]:
    return [LevelReading(i, np.zeros(2), (1.0,), (1.0,), value) for i, value in enumerate(grey)]


def test_a_shot_is_decided_by_all_its_faces_and_not_by_other_shots() -> None:
    tracks = [track(0, 0), track(1, 0), track(2, 10), track(3, 10)]
    own = [
        readings(True, True, True, False),
        readings(True, False, False, True, False),
        readings(False, False, True),
        readings(True, False),
    ]
    assert grey_tracks(tracks, own, SHOTS, "auto") == [True, True, False, False]


def test_a_statue_takes_no_colour_from_the_people_beside_it() -> None:
    tracks = [track(0, 0), track(1, 0)]
    own = [readings(*[True] * 9), readings(*[False] * 3)]
    assert grey_tracks(tracks, own, SHOTS, "auto") == [True, False]


@pytest.mark.parametrize(("setting", "answer"), [("on", True), ("off", False)])
def test_what_is_asked_for_is_done(setting: str, answer: bool) -> None:
    assert grey_tracks([track(0, 0), track(1, 10)], [readings(True), []], SHOTS, setting) == [answer, answer]
