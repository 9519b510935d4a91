"""Fields are numbered and placed between the frames that they belong to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.io.read import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.interlaced import by_field
from dynface_video.tracking.observation import FaceTrack

LENGTH = 3


def moving(shown: np.ndarray | None = None) -> Analysis:
    """A face that moves by 10 pixels a frame, in the frames 2 .. 4 of five."""
    landmarks = np.zeros((LENGTH, 5, 2), np.float32) + 10 * np.arange(LENGTH, dtype=np.float32)[:, None, None]
    track = FaceTrack(0, 2, landmarks, np.array([True, False, True]), np.ones(LENGTH, np.float32), shown)
    levels, steps = np.array([[0.01, 0.02, 0.03]]), np.array([[100, 200, 300]])
    frames = FrameIndex(np.arange(5), Fraction(1, 25), (), np.zeros(5, np.uint32))
    return Analysis(frames, (Shot(0, 2), Shot(2, 5)), (AnalyzedTrack(track, levels, steps, grey=False),))


def test_shots_and_tracks_are_counted_in_fields() -> None:
    doubled = by_field(moving())
    (analyzed,) = doubled.tracks
    assert doubled.shots == (Shot(0, 4), Shot(4, 10))
    assert (analyzed.track.start, analyzed.track.stop) == (4, 10)
    assert analyzed.levels.tolist() == [[0.01, 0.01, 0.02, 0.02, 0.03, 0.03]]
    assert analyzed.starting_steps.tolist() == [[100, 100, 200, 200, 300, 300]]
    assert analyzed.track.observed.tolist() == [True, True, False, False, True, True]


def test_a_second_field_lies_halfway_to_the_next_frame() -> None:
    (analyzed,) = by_field(moving()).tracks
    assert analyzed.track.landmarks[:, 0, 0].tolist() == [0, 5, 10, 15, 20, 20]


def test_both_fields_are_shown_as_much_as_their_frame() -> None:
    (analyzed,) = by_field(moving(np.array([1.0, 0.5, 0.0], np.float32))).tracks
    assert [analyzed.track.shown_at(at) for at in range(2 * LENGTH)] == [1, 1, 0.5, 0.5, 0, 0]
