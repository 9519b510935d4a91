"""Vectors of tracked faces, by which people are told apart, read while a video is decoded for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dynface_video.faces.identity import FaceIdentifier
from dynface_video.tracking.observation import Observation, face_side
from dynface_video.tracking.track_filter import turn_of

INTERVAL = 5
"""Frames of a track from one reading to the next at first; later ones are rarer by `RARER`."""
RARER = 1.2
FULL_SIDE = 64.0
"""Side of a face in pixels from which on its vector has the full weight."""
FULL_TURN, LARGEST_TURN = 20.0, 60.0
"""Degrees up to which a turned face has the full weight, and from which on hardly any."""
LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class IdentityReading:
    """The vector of one face in one frame.

    Attributes:
        frame: Its number.
        centre: Of the landmarks, (2,).
        vector: (D,) of length 1.
        weight: More for large faces that look at the camera.
    """

    frame: int
    centre: np.ndarray
    vector: np.ndarray
    weight: float


@dataclass
class IdentityReader:
    """Reads the vectors of tracked faces, of each track the less often the longer it is.

    Attributes:
        identifier: None to read nothing.
        readings: What was read.
    """

    identifier: FaceIdentifier | None
    readings: list[IdentityReading] = field(default_factory=list)
    _due: dict[int, tuple[int, float]] = field(default_factory=dict)

    def see(self, index: int, picture: np.ndarray, observations: Sequence[Observation]) -> None:
        """Read the faces of a frame that are due.

        Args:
            index: Of the frame; rising from call to call.
            picture: (H, W, 3) uint8, display coordinates.
            observations: The tracked faces.
        """
        if self.identifier is None:
            return
        due = [seen for seen in observations if seen.frame == index and self._is_due(seen)]
        if not due:
            return
        landmarks = [seen.detection.landmarks for seen in due]
        for points, vector in zip(landmarks, self.identifier.embed(picture, landmarks), strict=True):
            self.readings.append(IdentityReading(index, points.mean(axis=0), vector, weight_of(points)))

    def _is_due(self, seen: Observation) -> bool:
        due, interval = self._due.get(seen.track, (seen.frame, float(INTERVAL)))
        if seen.frame < due:
            return False
        self._due[seen.track] = (seen.frame + round(interval), interval * RARER)
        return True


def weight_of(landmarks: np.ndarray) -> float:
    """How much a face (5, 2) tells of its person, in [0, 1]."""
    turn = float(turn_of(landmarks))
    frontal = np.clip((LARGEST_TURN - turn) / (LARGEST_TURN - FULL_TURN), LEAST_WEIGHT, 1)
    return float(frontal * np.clip(face_side(landmarks) / FULL_SIDE, LEAST_WEIGHT, 1))


def mean_vector(readings: Sequence[IdentityReading]) -> np.ndarray | None:
    """The weighted mean of a track's vectors, (D,) of length 1; None without readings."""
    if not readings:
        return None
    total = sum(reading.weight * reading.vector.astype(np.float64) for reading in readings)
    length = float(np.linalg.norm(total))
    return None if length < 1e-6 else np.asarray(total / length, np.float32)
