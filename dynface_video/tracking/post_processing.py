"""Post-processing: observations of a whole video become tracks without holes, outliers or jitter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import scipy

from dynface_video.tracking.appearance import difference
from dynface_video.tracking.link import Fragment, fragments_of, is_nested, is_same, link, without_duplicates
from dynface_video.tracking.observation import FADE_FRAMES, HIDDEN, FaceTrack, Observation, SkippedFace, face_sides
from dynface_video.tracking.smoothing import smooth_landmarks
from dynface_video.tracking.track_filter import out_of_focus_reason, rejection_reason, shown_while_turning, turn_of

if TYPE_CHECKING:
    from dynface_video.config import DetectionSettings

SAME_FACE_DIFFERENCE = 0.3
SAME_FACE_SIZE = 0.4


def post_process_tracks(
    observations: Sequence[Observation],
    cuts: Sequence[int],
    *,
    settings: DetectionSettings,
    frame_count: int | None = None,
) -> tuple[list[FaceTrack], list[SkippedFace]]:
    """Turn the observations of a whole video into finished tracks.

    Fragments are linked over absences of at most `settings.maximum_gap` frames, which are bridged by interpolation.
    Tracks that are too short, too small, too uncertain, too blurred, too dark or out of focus are skipped; faces that
    turn too far to a side or are hidden by another face are skipped while they are. Landmarks are smoothed inside
    shots, never over a cut.

    Args:
        observations: of all frames, in any order.
        cuts: the first frame of each shot.
        settings: of detection.
        frame_count: of the video; None ends it with the last observation. A track that fills its shot is never too
            short.

    Returns:
        Tracks, numbered from 1 by their first frame and then from left to right, and the faces that are skipped.
    """
    if frame_count is None:
        frame_count = max((seen.frame for seen in observations), default=-1) + 1
    bounds = sorted({0, *cuts, frame_count})
    fragments = without_duplicates(fragments_of(observations, cuts, settings.maximum_gap))
    tracks, skipped_faces = _choose(link(fragments, cuts, settings.maximum_gap), bounds, settings)
    hidden = [_hidden(track, tracks) for track in tracks]
    for track, frames in zip(tracks, hidden, strict=True):
        skipped_faces += _skipped_where(track, frames & (_shown(track) > 0), lambda _: HIDDEN)
    return [_without(track, frames) for track, frames in zip(tracks, hidden, strict=True)], skipped_faces


def _choose(
    fragments: Sequence[Fragment], bounds: Sequence[int], settings: DetectionSettings
) -> tuple[list[FaceTrack], list[SkippedFace]]:
    """The tracks of the linked fragments that are restored, and the faces that are skipped; bounds: of the shots."""
    tracks: list[FaceTrack] = []
    faces: list[Fragment] = []
    skipped_faces: list[SkippedFace] = []
    main_faces = _main_faces(fragments, bounds)
    for fragment in fragments:
        track = _track(len(tracks) + 1, fragment, settings)
        reason = (
            rejection_reason(fragment, settings, fills_shot={fragment.start, fragment.last + 1} <= {*bounds})
            or (settings.skip_blurred_background and _out_of_focus_reason(fragment, main_faces, bounds))
            or _reason_of_turn(track, settings.maximum_yaw)
        )
        if reason:
            skipped_faces.append(_skipped(fragment.start, fragment.last + 1, fragment.points, reason))
            continue
        tracks.append(replace(track, face=_known_face(fragment, faces, tracks, bounds)))
        faces.append(fragment)
        skipped_faces += _turned_away(track, settings.maximum_yaw)
    return tracks, skipped_faces


def _out_of_focus_reason(fragment: Fragment, main_faces: dict[int, Fragment], bounds: Sequence[int]) -> str | None:
    main = main_faces[bisect_right(bounds, fragment.start)]
    return out_of_focus_reason(fragment, None if main is fragment else main)


def _main_faces(fragments: Sequence[Fragment], bounds: Sequence[int]) -> dict[int, Fragment]:
    """The face that covers most of each shot, size times duration; shots are counted as `bisect_right` does."""
    main: dict[int, Fragment] = {}
    for fragment in sorted(fragments, key=lambda f: f.side * len(f.frames)):
        main[bisect_right(bounds, fragment.start)] = fragment
    return main


def _track(number: int, fragment: Fragment, settings: DetectionSettings) -> FaceTrack:
    frames = np.arange(fragment.start, fragment.last + 1)
    observed = np.isin(frames, fragment.frames)
    points = bridge(fragment.frames, fragment.points, frames)
    std = bridge(fragment.frames, fragment.std, frames)
    landmarks = smooth_landmarks(points, std, observed, smoothing=settings.landmark_smoothing).astype(np.float32)
    scores = bridge(fragment.frames, fragment.scores, frames).astype(np.float32)
    shown = shown_while_turning(landmarks, settings.maximum_yaw)
    return FaceTrack(number, fragment.start, landmarks, observed, scores, shown)


def _reason_of_turn(track: FaceTrack, largest: float) -> str | None:
    if track.shown is None or track.shown.any():
        return None
    return _turn_reason(track.landmarks, largest)


def _turn_reason(landmarks: np.ndarray, largest: float) -> str:
    return f"seen from the side: turned by {np.median(turn_of(landmarks)):.0f} degrees, {largest:g} at most"


def _turned_away(track: FaceTrack, largest: float) -> list[SkippedFace]:
    """The spans of a track in which its face is turned too far to be restored."""
    return _skipped_where(track, _shown(track) == 0, lambda points: _turn_reason(points, largest))


def _hidden(track: FaceTrack, tracks: Sequence[FaceTrack]) -> np.ndarray:
    """Frames of a track, (T,) bool, bridged behind another face, onto which the restored face would be pasted."""
    hidden = np.zeros(len(track.landmarks), bool)
    for other in tracks:
        for frame in range(max(track.start, other.start), min(track.stop, other.stop)):
            own, there = frame - track.start, frame - other.start
            if other.observed[there] and not track.observed[own]:
                points, others = track.landmarks[own], other.landmarks[there]
                hidden[own] |= is_same(points, others) or is_nested(points, others)
    return hidden


def _without(track: FaceTrack, frames: np.ndarray) -> FaceTrack:
    """The track with the frames of a mask (T,) hidden: it fades out before them and back in after them."""
    if not frames.any():
        return track
    away = scipy.ndimage.distance_transform_edt(~frames)
    return replace(track, shown=(_shown(track) * np.clip(away / FADE_FRAMES, 0, 1)).astype(np.float32))


def _shown(track: FaceTrack) -> np.ndarray:
    return np.array([track.shown_at(at) for at in range(len(track.landmarks))])


def _skipped_where(track: FaceTrack, frames: np.ndarray, reason: Callable[[np.ndarray], str]) -> list[SkippedFace]:
    """The spans of a track that a mask (T,) selects; `reason` gets their landmarks (n, 5, 2)."""
    chosen = np.flatnonzero(frames)
    spans = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1) if len(chosen) else []
    places = [(track.start + int(span[0]), track.start + int(span[-1]) + 1, track.landmarks[span]) for span in spans]
    return [_skipped(start, stop, points, reason(points)) for start, stop, points in places]


def _known_face(
    fragment: Fragment, faces: Sequence[Fragment], tracks: Sequence[FaceTrack], bounds: Sequence[int]
) -> int | None:
    """The identity of a face of the same appearance that left the shot before; None for a new face."""
    shot, look = bisect_right(bounds, fragment.start), fragment.appearance
    alike = []
    for known, track in zip(faces, tracks, strict=True):
        gone = known.last < fragment.start and bisect_right(bounds, known.start) == shot
        if look is None or known.appearance is None or not gone:
            continue
        apart = difference(known.appearance, look)
        if apart < SAME_FACE_DIFFERENCE and abs(np.log(known.side / fragment.side)) < SAME_FACE_SIZE:
            alike.append((apart, track.identity))
    return min(alike)[1] if alike else None


def bridge(frames: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Interpolate values (N, ...), known in frames (N,), linearly at the frames wanted (T,): (T, ...)."""
    columns = values.reshape(len(values), -1).T
    bridged = np.stack([np.interp(wanted, frames, column) for column in columns], axis=1)
    return bridged.reshape(len(wanted), *values.shape[1:])


def _skipped(start: int, stop: int, points: np.ndarray, reason: str) -> SkippedFace:
    x, y = np.median(points.mean(axis=1), axis=0)
    return SkippedFace(start, stop, (float(x), float(y)), float(np.median(face_sides(points))), reason)
