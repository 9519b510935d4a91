"""Which tracks are skipped and why: a badly restored face looks worse than an unrestored one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy

from dynface_video.faces.landmarks import face_square
from dynface_video.tracking.observation import face_sides

if TYPE_CHECKING:
    from dynface_video.config import DetectionSettings
    from dynface_video.tracking.link import Fragment

SMALLEST_SEEN_SHARE = 0.4
"""Of a track's frames: what is seen in fewer, and bridged in between, is a chance find."""
SMALLEST_SUPPORT = 0.25
"""Of the detections during a track: the landmark network alone also follows things that are not faces."""
NOSE_DEPTH = 0.5
"""How far the tip of a nose stands out of the plane of the eyes, in distances between the eyes."""
TURN_SMOOTHING = 2.0
SMALLEST_DEFOCUS = 0.03
"""Std of a face's blur, as a share of its side, below which it is not out of focus: eyes and mouth can be seen."""
BLURRED_BY_SURROUNDINGS, BLURRED_BY_MAIN_FACE = 2.5, 4.0
"""How many times as blurred as what is near, or as the main face, a face out of focus is; chosen on training scenes."""
FADE_SPAN = 6.0
"""Degrees over which a face that turns away fades out."""


def turn_of(points: np.ndarray) -> np.ndarray:
    """Yaw of heads, degrees in [0, 90], from five landmarks each: (..., 5, 2) to (...).

    The nose moves along the line of the eyes by the sine of the angle; the eyes approach by its cosine.
    """
    faces = np.asarray(points, np.float64).reshape(-1, 5, 2)
    turns = []
    for face in faces:
        angle = face_square(face).angle
        across = np.array([np.cos(angle), np.sin(angle)])
        offset = abs(float((face[2] - (face[0] + face[1]) / 2) @ across))
        eyes = max(float((face[1] - face[0]) @ across), 0.0)
        turns.append(np.degrees(np.arctan2(offset / NOSE_DEPTH, eyes)))
    return np.array(turns).reshape(np.shape(points)[:-2])


def rejection_reason(fragment: Fragment, settings: DetectionSettings, *, fills_shot: bool = False) -> str | None:
    """Why a whole track is skipped, or None.

    Args:
        fragment: a linked track.
        settings: of detection.
        fills_shot: whether the track begins and ends with its shot: then it cannot be too short.

    Returns:
        The kind of reason, a colon, and the figures.
    """
    length = fragment.last - fragment.start + 1
    if length < settings.minimum_length and not fills_shot:
        return f"too short: {length} frames of at least {settings.minimum_length}"
    if fragment.side < settings.minimum_size:
        return f"too small: {fragment.side:.0f} pixels of at least {settings.minimum_size:g}"
    return _reason_of_doubt(fragment, length, settings) or _reason_of_appearance(fragment, settings)


def _reason_of_doubt(fragment: Fragment, length: int, settings: DetectionSettings) -> str | None:
    if len(fragment.frames) < SMALLEST_SEEN_SHARE * length:
        return f"too uncertain: seen in only {len(fragment.frames)} of {length} frames"
    score = float(fragment.scores.mean())
    if score < settings.minimum_score:
        return f"too uncertain: mean score {score:.2f} of at least {settings.minimum_score:g}"
    confirmed, missed = int((fragment.verdicts > 0).sum()), int((fragment.verdicts < 0).sum())
    chance = confirmed == 1 and missed > 0 and length > 2 * settings.interval
    if chance or confirmed < SMALLEST_SUPPORT * (confirmed + missed):
        return f"too uncertain: confirmed by {confirmed} of {confirmed + missed} detections"
    return None


def _reason_of_appearance(fragment: Fragment, settings: DetectionSettings) -> str | None:
    spread = fragment.std.mean(axis=1) / np.maximum(face_sides(fragment.points), 1.0)
    uncertainty = float(np.median(spread))
    if uncertainty > settings.maximum_uncertainty:
        return (
            f"too blurred: landmarks uncertain by {100 * uncertainty:.1f} % of its side, "
            f"{100 * settings.maximum_uncertainty:g} % at most"
        )
    if fragment.appearance is not None and fragment.appearance[-1] < settings.minimum_brightness:
        brightness = float(fragment.appearance[-1])
        return f"too dark: brightness {brightness:.3f} of at least {settings.minimum_brightness:g}"
    return None


def out_of_focus_reason(fragment: Fragment, main: Fragment | None) -> str | None:
    """Why a face counts as left out of focus by the camera, or None.

    Blur alone does not count, damage blurs a whole picture. What counts is blur far above that of the edges beside and
    above the face, or above that of the shot's main face.

    Args:
        fragment: a linked track.
        main: the track of the same shot's main face, None where it is this one.
    """
    blur = _median([focus.face for focus in fragment.focus])
    if blur is None or blur < SMALLEST_DEFOCUS:
        return None
    around = _median([focus.face / focus.surroundings for focus in fragment.focus if focus.surroundings is not None])
    if around is not None and around >= BLURRED_BY_SURROUNDINGS:
        return f"out of focus: {around:.1f} times as blurred as its surroundings"
    main_blur = None if main is None else _median([focus.face for focus in main.focus])
    if main is not None and main_blur is not None:
        ratio = blur * fragment.side / (main_blur * main.side)
        if ratio >= BLURRED_BY_MAIN_FACE:
            return f"out of focus: {ratio:.1f} times as blurred as the main face"
    return None


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def shown_while_turning(landmarks: np.ndarray, maximum_yaw: float) -> np.ndarray:
    """How much of a restored face is shown while its head turns.

    Args:
        landmarks: (T, 5, 2).
        maximum_yaw: degrees at which nothing is shown any more.

    Returns:
        (T,) float32 in [0, 1]: 1 up to `FADE_SPAN` degrees below that.
    """
    turn = scipy.ndimage.gaussian_filter1d(turn_of(landmarks), TURN_SMOOTHING, mode="nearest")
    return np.clip((maximum_yaw - turn) / FADE_SPAN, 0, 1).astype(np.float32)
