"""What the tracks of people amount to, and the readings by which they are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.faces.align import template
from dynface_video.faces.detection.detector import Detection
from dynface_video.media.io.read import FrameIndex
from dynface_video.passes.identity_reader import IdentityReader, IdentityReading, mean_vector, weight_of
from dynface_video.passes.people import joined_spans, summarize_people, time_of
from dynface_video.tracking.observation import FaceTrack, Observation

INDEX = FrameIndex(np.arange(100, dtype=np.int64) * 512 + 1024, Fraction(1, 12800), (), np.zeros(100, np.uint32))


def analyzed(number: int, start: int, size: float, person: int, level: float = 0.02) -> AnalyzedTrack:
    landmarks = np.repeat(template(100)[None] * size / 100, 10, axis=0).astype(np.float32)
    landmarks[4] *= 1.5
    track = FaceTrack(number, start, landmarks, np.ones(10, bool), np.ones(10, np.float32))
    levels, steps = np.full((2, 10), level), np.zeros((2, 10), np.int64)
    levels[1], steps[0] = 0, 300
    return AnalyzedTrack(track, levels, steps, grey=False, restore=number != 2, person=person)


def test_a_person_is_the_sum_of_its_tracks() -> None:
    tracks = [analyzed(0, 0, 80, 1), analyzed(1, 10, 60, 2), analyzed(2, 10, 120, 1), analyzed(3, 50, 80, 1)]
    one, two = summarize_people(tracks, INDEX)
    assert (one.number, one.tracks, one.spans, one.frames) == (1, (0, 2, 3), ((0, 20), (50, 60)), 30)
    assert one.times == ((0, Fraction(4, 5)), (2, Fraction(12, 5)))
    assert one.restore and one.blur_level == pytest.approx(0.02) and one.starting_step == 300
    assert one.best.frame == 14 and one.best.track == 2
    assert two.size == pytest.approx(float(np.median(tracks[1].track.sizes)))
    assert two.as_dict()["times"] == [[0.4, 0.8]]


def test_spans_that_touch_are_one() -> None:
    assert joined_spans([(10, 20), (0, 10), (30, 40), (32, 35)]) == [(0, 20), (30, 40)]


def test_times_count_from_the_first_frame_and_end_after_the_last() -> None:
    assert time_of(INDEX, 0) == 0 and time_of(INDEX, 100) == 4


class CountingIdentifier:
    same_person = 0.5

    def __init__(self) -> None:
        self.seen: list[int] = []

    def embed(self, picture: np.ndarray, landmarks: Sequence[np.ndarray]) -> np.ndarray:
        self.seen.append(len(landmarks))
        return np.tile(np.float32([0.6, 0.8]), (len(landmarks), 1))


def observation(frame: int, track: int) -> Observation:
    points = template(120).astype(np.float32)
    return Observation(frame, track, Detection(np.zeros(4, np.float32), points, np.ones(5, np.float32), 0.9), True)


def test_long_tracks_are_read_less_and_less_often() -> None:
    identifier = CountingIdentifier()
    reader = IdentityReader(identifier)
    picture = np.zeros((120, 120, 3), np.uint8)
    for frame in range(200):
        reader.see(frame, picture, [observation(frame, 0), *([observation(frame, 1)] if frame < 6 else [])])
    own = [reading.frame for reading in reader.readings]
    gaps = np.diff([frame for frame in own if frame > 5])
    assert identifier.seen[0] == 2 and len(own) < 20
    assert (np.diff(gaps) >= 0).all() and gaps[-1] > 2 * gaps[0]


def test_nothing_is_read_without_a_network() -> None:
    reader = IdentityReader(None)
    reader.see(0, np.zeros((120, 120, 3), np.uint8), [observation(0, 0)])
    assert not reader.readings and mean_vector(reader.readings) is None


def test_large_frontal_faces_count_most() -> None:
    turned = template(200).copy()
    turned[2, 0] += 45
    assert weight_of(template(400)) > weight_of(template(60)) > 0
    assert weight_of(turned) < 0.5 * weight_of(template(200))
    strong, weak = (IdentityReading(0, np.zeros(2), vector, weight) for vector, weight in (
        (np.float32([1, 0]), 1.0), (np.float32([0, 1]), 0.1)))  # fmt: skip
    mean = mean_vector([strong, weak])
    assert mean is not None and mean[0] > 0.98 and np.linalg.norm(mean) == pytest.approx(1)
