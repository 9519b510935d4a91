"""What became of every face that was seen: restored, or not and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynface_video.passes.analysis import Analysis
from dynface_video.tracking.observation import HIDDEN, NOT_SELECTED


@dataclass(frozen=True)
class FaceAccount:
    """A face over some frames, and what became of it.

    Attributes:
        start: Its first frame; 0 in a picture.
        stop: One past its last frame.
        centre: Median of its centre (x, y), pixels of the displayed picture.
        size: Median of its side, pixels.
        restored: Whether it is restored.
        reason: Why it is not; empty if it is.
        track: Number of its track; None for a face that was skipped before it had one.
    """

    start: int
    stop: int
    centre: tuple[float, float]
    size: float
    restored: bool
    reason: str = ""
    track: int | None = None


def face_accounts(analysis: Analysis) -> tuple[FaceAccount, ...]:
    """The faces of an analysis, in the order in which they appear; a restored face that is hidden for a while is one.

    Args:
        analysis: Of a video or a picture.
    """
    tracks = [
        FaceAccount(
            found.track.start,
            found.track.stop,
            _rounded(np.median(found.track.landmarks.mean(axis=1), axis=0)),
            round(found.track.size, 1),
            found.restore,
            "" if found.restore else NOT_SELECTED,
            found.track.number,
        )
        for found in analysis.tracks
    ]
    skipped = [
        FaceAccount(face.start, face.stop, _rounded(np.array(face.centre)), round(face.size, 1), False, face.reason)
        for face in analysis.skipped_faces
        if face.reason != HIDDEN
    ]
    return tuple(sorted([*tracks, *skipped], key=lambda face: (face.start, face.centre)))


def _rounded(point: np.ndarray) -> tuple[float, float]:
    return round(float(point[0]), 1), round(float(point[1]), 1)
