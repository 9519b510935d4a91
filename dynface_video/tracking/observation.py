"""What tracking gives: observations frame by frame, finished tracks, and skipped faces with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import SIDE_BY_SPREAD
from dynface_video.tracking.focus import Focus

FADE_FRAMES = 5
"""Frames over which a restored face fades in and out: at the ends of a track inside a shot, and where it is hidden."""
HIDDEN = "hidden by another face"
"""Reason for a span in which a face that is restored before and after is out of sight."""
NOT_SELECTED = "not selected for restoration"
"""Reason of a face that could be restored and was not chosen."""


@dataclass(frozen=True)
class Observation:
    """A face in one frame.

    Attributes:
        frame: its index.
        track: number given by the tracker; fragments of one face may have several.
        detection: where it is.
        detected: found by the detector in this frame, else followed by the landmark network.
        appearance: of the face (see `appearance`); None if it was not measured.
        missed: the detector searched this frame and did not find it.
        focus: its blur and that around it; None if they were not measured.
    """

    frame: int
    track: int
    detection: Detection
    detected: bool
    appearance: np.ndarray | None = None
    missed: bool = False
    focus: Focus | None = None


@dataclass(frozen=True)
class FaceTrack:
    """One face over the frames start .. stop - 1 of one shot, display coordinates.

    Attributes:
        number: of the track in its video, from 1.
        start: its first frame.
        landmarks: (T, 5, 2) float32, smoothed over time.
        observed: (T,) bool, false where the face was bridged over a miss.
        scores: (T,) float32 in [0, 1].
        shown: (T,) float32 in [0, 1], how much of the restored face is shown; None for all of it.
        face: number of the first track of the shot that shows the same face.
    """

    number: int
    start: int
    landmarks: np.ndarray
    observed: np.ndarray
    scores: np.ndarray
    shown: np.ndarray | None = None
    face: int | None = None

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.start + len(self.landmarks)

    @property
    def sizes(self) -> np.ndarray:
        """Side of the face in pixels in each frame, (T,) float64."""
        return face_sides(self.landmarks)

    @property
    def size(self) -> float:
        """Median side of the face in pixels."""
        return float(np.median(self.sizes))

    @property
    def identity(self) -> int:
        """Number of its face within its shot, by which it is restored alike when it comes back."""
        return self.number if self.face is None else self.face

    @property
    def shown_frames(self) -> int:
        """In how many frames anything of the restored face is shown."""
        return self.stop - self.start if self.shown is None else int(np.count_nonzero(self.shown))

    def is_shown(self, start: int, stop: int) -> bool:
        """Whether anything of the restored face is shown in the frames start .. stop - 1."""
        first, last = max(start, self.start), min(stop, self.stop)
        if first >= last:
            return False
        return self.shown is None or bool(self.shown[first - self.start : last - self.start].any())

    def shown_at(self, position: int) -> float:
        """How much of the restored face is shown in the frame `start + position`, in [0, 1]."""
        return 1.0 if self.shown is None else float(self.shown[position])

    def to_json(self) -> dict[str, Any]:
        """The track as JSON values, landmarks to a hundredth of a pixel."""
        shown = np.ones(len(self.landmarks)) if self.shown is None else self.shown
        return {
            "number": self.number,
            "face": self.identity,
            "start": self.start,
            "landmarks": np.round(self.landmarks.astype(np.float64), 2).reshape(-1, 10).tolist(),
            "observed": self.observed.astype(int).tolist(),
            "scores": np.round(self.scores.astype(np.float64), 3).tolist(),
            "shown": np.round(shown.astype(np.float64), 2).tolist(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> FaceTrack:
        """Read what `to_json` gave; raises ValueError where lengths disagree."""
        landmarks = np.array(raw["landmarks"], np.float32).reshape(-1, 5, 2)
        observed, scores = np.array(raw["observed"], bool), np.array(raw["scores"], np.float32)
        shown = np.array(raw["shown"], np.float32)
        if not len(landmarks) == len(observed) == len(scores) == len(shown) > 0:
            lengths = (
                f"{len(landmarks)} landmarks, {len(observed)} observed, {len(scores)} scores and {len(shown)} shown"
            )
            raise ValueError(f"track {raw['number']} has {lengths}")
        return cls(int(raw["number"]), int(raw["start"]), landmarks, observed, scores, shown, int(raw["face"]))


@dataclass(frozen=True)
class SkippedFace:
    """A face that is not restored and the reason: frames start .. stop - 1, median centre (x, y) and side in pixels."""

    start: int
    stop: int
    centre: tuple[float, float]
    size: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The face as JSON values."""
        centre = [round(value, 1) for value in self.centre]
        return {
            "start": self.start,
            "stop": self.stop,
            "centre": centre,
            "size": round(self.size, 1),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> SkippedFace:
        """Read what `to_json` gave."""
        x, y = raw["centre"]
        return cls(int(raw["start"]), int(raw["stop"]), (float(x), float(y)), float(raw["size"]), str(raw["reason"]))


def face_sides(points: np.ndarray) -> np.ndarray:
    """Sides of the face boxes that belong to five points each, (..., 5, 2) to (...), pixels."""
    centred = np.asarray(points, np.float64) - np.mean(points, axis=-2, keepdims=True, dtype=np.float64)
    return np.asarray(SIDE_BY_SPREAD * np.sqrt((centred**2).sum(axis=-1).mean(axis=-1)))


def face_side(points: np.ndarray) -> float:
    """Side of the face box that belongs to five points (5, 2), pixels."""
    return float(face_sides(points))


def log_size_ratio(points: np.ndarray, others: np.ndarray) -> float:
    """Natural logarithm of the size of a face (5, 2) over that of another."""
    return float(np.log(max(face_side(points), 1.0) / max(face_side(others), 1.0)))
