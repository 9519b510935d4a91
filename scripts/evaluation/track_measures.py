"""How well tracks follow faces whose truth is known: coverage, switches, fragments, landmark error, jitter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dynface_video.faces.align import TEMPLATE_512
from dynface_video.faces.landmarks import face_square
from dynface_video.tracking.link import is_nested, is_same
from dynface_video.tracking.observation import FaceTrack, face_side, face_sides

SAME = 0.35
"""A track is on a face when its middle is within this share of the face's side."""


@dataclass(frozen=True)
class TrackScores:
    """Of one clip.

    coverage:  share of the frames of visible faces that a track lies on
    switches:  how often a track goes over from one face to another
    fragments: tracks of a face beyond one a shot
    wrong:     tracks that are never on a face that stands alone
    doubles:   frames in which the restored faces of two tracks would lie on one
    error:     median landmark error as a share of the eye distance
    """

    coverage: float
    switches: int
    fragments: int
    wrong: int
    doubles: int
    error: float


def landmark_error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of five points as a share of the eye distance (of a fifth of the face in a profile, if larger)."""
    eyes = float(np.linalg.norm(truth[1] - truth[0]))
    return float(np.linalg.norm(points - truth, axis=1).mean() / max(eyes, 0.2 * face_square(truth).side))


def score_tracks(
    tracks: Sequence[FaceTrack], truth: np.ndarray, visible: np.ndarray, cuts: Sequence[int]
) -> TrackScores:
    """Compare tracks with (T, N, 5, 2) true landmarks and (T, N) visibility."""
    covered = np.zeros(visible.shape, bool)
    pieces: dict[tuple[int, int], int] = {}
    switches = wrong = 0
    errors = []
    for track in tracks:
        path = []
        for t in range(track.start, min(track.stop, len(truth))):
            points = track.landmarks[t - track.start]
            face = _face_under(points, truth[t], visible[t])
            covered[t] |= _near(points, truth[t]) < SAME
            if face is not None:
                errors.append(landmark_error(points, truth[t, face]))
                path += [face] if _stands_alone(points, truth[t]) else []
        switches += int(np.count_nonzero(np.diff(path)))
        wrong += not path
        shot = int(np.searchsorted(sorted(cuts), track.start, side="right"))
        for face in set(path):
            pieces[shot, face] = pieces.get((shot, face), 0) + 1
    fragments = sum(count - 1 for count in pieces.values())
    share = float(covered[visible].mean()) if visible.any() else 1.0
    doubles = sum(_is_double(tracks, t) for t in range(len(truth)))
    return TrackScores(share, switches, fragments, wrong, doubles, float(np.median(errors or [np.nan])))


def _is_double(tracks: Sequence[FaceTrack], frame: int) -> bool:
    there = [(track, frame - track.start) for track in tracks if track.start <= frame < track.stop]
    shown = [track.landmarks[place] for track, place in there if track.shown_at(place) > 0]
    return any(is_same(one, other) or is_nested(one, other) for one, other in combinations(shown, 2))


def _face_under(points: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> int | None:
    apart = np.where(visible, _near(points, truth), np.inf)
    nearest = int(apart.argmin())
    return nearest if apart[nearest] < SAME else None


def _stands_alone(points: np.ndarray, truth: np.ndarray) -> bool:
    """Whether no second face, hidden or not, is near: while one passes before another the position is ambiguous."""
    return bool((_near(points, truth) < 2 * SAME).sum() < 2)


def _near(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(truth.mean(axis=1) - points.mean(axis=0), axis=1) / face_sides(truth))


def lies_on(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether faces of (M, 5, 2) true landmarks have one of (N, 5, 2) found on them: (M,) bool."""
    if not len(points):
        return np.zeros(len(truth), bool)
    return np.asarray(np.min([_near(found, truth) for found in points], axis=0) < SAME)


def jitter(landmarks: np.ndarray, crop: int = 256) -> float:
    """Root mean square movement of a still face's landmarks (T, 5, 2) about their mean, pixels of an aligned crop."""
    away = landmarks - landmarks.mean(axis=0)
    side = float(face_sides(landmarks.mean(axis=0)))
    unit = face_side(TEMPLATE_512) / 512 * crop / side
    return float(np.sqrt((away**2).sum(axis=2).mean()) * unit)
