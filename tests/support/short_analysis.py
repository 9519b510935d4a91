"""The first pass's result for 20 frames: one face in six of them, one that is too small, and a warning."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.timing.index import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.people import Person
from dynface_video.tracking.observation import FaceTrack, SkippedFace


def short_analysis(*people: Person) -> Analysis:
    landmarks = np.random.default_rng(0).uniform(20, 80, (6, 5, 2)).round(2).astype(np.float32)
    track = FaceTrack(0, 2, landmarks, np.ones(6, bool), np.full(6, 0.875, np.float32))
    analyzed = AnalyzedTrack(track, np.linspace(0.01, 0.02, 6).round(7)[None], np.arange(100, 106)[None], grey=True)
    index = FrameIndex(np.arange(20, dtype=np.int64) * 512, Fraction(1, 12800), (), np.zeros(20, np.uint32))
    alone = SkippedFace(3, 5, (10.0, 12.0), 9.5, "too small")
    return Analysis(index, (Shot(0, 20),), (analyzed,), (alone,), ("a warning",), people)
