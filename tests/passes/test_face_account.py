"""What became of every face: those restored, those not chosen, and those skipped with the reason."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.timing.index import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.face_account import FaceAccount, face_accounts
from dynface_video.tracking.observation import HIDDEN, NOT_SELECTED, FaceTrack, SkippedFace

FACE = np.array([[-9, -9], [9, -9], [0, 0], [-7, 9], [7, 9]], np.float32)


def analyzed(number: int, start: int, centre: tuple[float, float], restore: bool) -> AnalyzedTrack:
    landmarks = np.repeat((FACE + np.array(centre, np.float32))[None], 4, axis=0)
    track = FaceTrack(number, start, landmarks, np.ones(4, bool), np.ones(4, np.float32))
    return AnalyzedTrack(track, np.zeros((1, 4)), np.zeros((1, 4), np.int64), grey=False, restore=restore)


def test_faces_come_in_the_order_of_their_appearance_with_what_became_of_them() -> None:
    index = FrameIndex(np.arange(20, dtype=np.int64), Fraction(1, 25), (), np.zeros(20, np.uint32))
    hidden = SkippedFace(6, 9, (1.0, 1.0), 9.0, HIDDEN)
    skipped = (SkippedFace(3, 5, (10.04, 12.0), 9.5, "too small: 10 pixels"), hidden)
    tracks = (analyzed(1, 8, (60, 40), True), analyzed(2, 0, (30, 20), False))
    first, second, third = face_accounts(Analysis(index, (Shot(0, 20),), tracks, skipped))
    assert (first.track, first.centre, first.restored, first.reason) == (2, (30.0, 20.0), False, NOT_SELECTED)
    assert second == FaceAccount(3, 5, (10.0, 12.0), 9.5, False, "too small: 10 pixels")
    assert (third.track, third.start, third.stop, third.restored, third.reason) == (1, 8, 12, True, "")
    assert third.size == round(tracks[0].track.size, 1)
