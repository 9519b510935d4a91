"""The second look: observations of a whole video become tracks without holes, outliers or jitter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dynface_video.faces.link import Fragment, fragments_of, link, without_doubles
from dynface_video.faces.observation import FaceTrack, LeftAlone, Observation
from dynface_video.faces.smooth import smooth_landmarks

if TYPE_CHECKING:
    from dynface_video.config import DetectionSettings

SMALLEST_SEEN_SHARE = 0.4
"""Of a track's frames: what is seen more rarely and bridged in between is a chance find, not a face."""


def finish_tracks(
    observations: Sequence[Observation], cuts: Sequence[int], *, settings: DetectionSettings
) -> tuple[list[FaceTrack], list[LeftAlone]]:
    """Tracks of a video, numbered from 0 by their first frame and then from left to right, and what is left alone.

    observations: of all frames, in any order; cuts: the first frame of each shot
    Fragments are linked over absences of at most `settings.gap` frames, which are bridged by interpolation; tracks that
    are too short, too small or too unsure are left alone; landmarks are smoothed inside shots, never over a cut.
    """
    fragments = without_doubles(fragments_of(observations, cuts, settings.gap))
    tracks: list[FaceTrack] = []
    left_alone: list[LeftAlone] = []
    for fragment in link(fragments, cuts, settings.gap):
        reason = _reason_to_leave(fragment, settings)
        if reason is None:
            tracks.append(_track(len(tracks), fragment, settings.smoothing))
        else:
            left_alone.append(_left(fragment, reason))
    return tracks, left_alone


def _reason_to_leave(fragment: Fragment, settings: DetectionSettings) -> str | None:
    length = fragment.last - fragment.start + 1
    if length < settings.minimum_length:
        return f"too short: {length} frames of at least {settings.minimum_length}"
    if fragment.side < settings.minimum_size:
        return f"too small: {fragment.side:.0f} pixels of at least {settings.minimum_size:g}"
    if len(fragment.frames) < SMALLEST_SEEN_SHARE * length:
        return f"too unsure: seen in only {len(fragment.frames)} of {length} frames"
    score = float(fragment.scores.mean())
    if score < settings.minimum_score:
        return f"too unsure: a mean score of {score:.2f} of at least {settings.minimum_score:g}"
    return None


def _track(number: int, fragment: Fragment, smoothing: float) -> FaceTrack:
    frames = np.arange(fragment.start, fragment.last + 1)
    observed = np.isin(frames, fragment.frames)
    points = bridge(fragment.frames, fragment.points, frames)
    deviation = bridge(fragment.frames, fragment.deviation, frames)
    landmarks = smooth_landmarks(points, deviation, observed, smoothing=smoothing)
    scores = bridge(fragment.frames, fragment.scores, frames)
    return FaceTrack(number, fragment.start, landmarks.astype(np.float32), observed, scores.astype(np.float32))


def bridge(frames: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values (N, ...) known in some frames (N,) at the frames wanted (T,): (T, ...), straight lines in between."""
    columns = values.reshape(len(values), -1).T
    bridged = np.stack([np.interp(wanted, frames, column) for column in columns], axis=1)
    return bridged.reshape(len(wanted), *values.shape[1:])


def _left(fragment: Fragment, reason: str) -> LeftAlone:
    x, y = np.median(fragment.points.mean(axis=1), axis=0)
    return LeftAlone(fragment.start, fragment.last + 1, (float(x), float(y)), fragment.side, reason)
