"""Sideways and upside-down faces: files with a wrong display matrix, phones held sideways.

Convention:
    A turn is the number of quarter turns, counterclockwise as in `numpy.rot90`, that brings a shot's faces upright.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dynface_video.faces.detection.detector import Detection, FaceDetector, FaceLocator
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.tracking.observation import Observation
from dynface_video.tracking.tracker import FaceTracker

if TYPE_CHECKING:
    from dynface_video.config import DetectionSettings

TRIALS = (1, 3, 8)
"""Detections of a shot at which other orientations are tried, as long as few faces are found as displayed."""
ENOUGH = 2.0
"""Sum of the scores of faces as displayed that settles a shot without a trial; one certain face does as well."""
SURE = 0.9
CLEAR_LEAD = 0.8
"""By which another orientation must lead, about one certain face; it must also have twice the score."""


@dataclass(frozen=True, eq=False)
class _Turned:
    """A picture and the same after quarter turns."""

    picture: np.ndarray
    turn: int
    upright: np.ndarray


class TurningTracker:
    """A `FaceTracker` of pictures that are turned so that the shot's faces are upright; see `step`.

    Faces are searched for as displayed. Where hardly any is found, the three other orientations are tried on a few
    frames of the shot, and the best is kept for the shot if it wins clearly. Observations are in display coordinates.

    Args:
        detector: finds upright faces.
        locator: finds an upright face near a place.
        settings: of detection.
    """

    def __init__(self, detector: FaceDetector, locator: FaceLocator, settings: DetectionSettings) -> None:
        self._tracker = FaceTracker(detector, locator, settings)
        self._detector, self._tries = detector, settings.detect_rotated
        self._turn, self._detections, self._settled = 0, 0, True
        self._expected: list[_Turned] = []
        self.trials = 0
        """Pictures that the detector was run on in other orientations."""

    @property
    def detections(self) -> int:
        """Pictures that the detector was run on, in any orientation."""
        return self._tracker.detections + self.trials

    def next_detected(self, coming: Iterable[tuple[int, np.ndarray, bool]], count: int) -> list[np.ndarray]:
        """The next pictures that the detector will run on, as far as can be told, turned as they will be.

        Args:
            coming: The arguments of the next calls of `step`: index, picture and cut.
            count: The largest number of pictures.
        """
        expected, last, turn = list[_Turned](), None, self._turn
        for index, picture, cut in coming:
            # A new shot's faces are searched for as displayed.
            turn = 0 if cut else turn
            if self._tracker.is_detection_due(index, cut=cut, last=last):
                expected.append(_Turned(picture, turn, self._upright(picture, turn)))
                last = index
            if len(expected) == count:
                break
        self._expected = expected
        return [one.upright for one in expected]

    def _upright(self, picture: np.ndarray, turn: int) -> np.ndarray:
        for one in self._expected:
            if one.picture is picture and one.turn == turn:
                return one.upright
        return turned(picture, turn)

    def step(self, index: int, picture: np.ndarray, *, cut: bool) -> list[Observation]:
        """As `FaceTracker.step`; picture: (H, W, 3) uint8 RGB, display coordinates."""
        if cut or index == 0:
            self._turn, self._detections, self._settled = 0, 0, not self._tries
        before = self._tracker.detections
        observations = self._tracker.step(index, self._upright(picture, self._turn), cut=cut)
        if self._tracker.detections > before and not self._settled:
            better = self._better_turn([o for o in observations if o.frame == index and o.detected], picture)
            if better is not None:
                self._turn, self._settled = better, True
                observations = self._tracker.step(index, turned(picture, better), cut=True)
        return [_as_displayed(observation, picture.shape[:2], self._turn) for observation in observations]

    def _better_turn(self, found: list[Observation], picture: np.ndarray) -> int | None:
        scores = [observation.detection.score for observation in found]
        self._detections += 1
        self._settled = sum(scores) >= ENOUGH or max(scores, default=0.0) >= SURE or self._detections >= max(TRIALS)
        if self._detections not in TRIALS or sum(scores) >= ENOUGH or max(scores, default=0.0) >= SURE:
            return None
        self.trials += 3
        others = {turn: _evidence(self._detector.detect(turned(picture, turn))) for turn in (1, 2, 3)}
        best = max(others, key=lambda turn: others[turn])
        return best if others[best] >= max(2 * sum(scores), sum(scores) + CLEAR_LEAD) else None


def _evidence(faces: list[Detection]) -> float:
    return float(sum(face.score for face in faces))


def turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """The picture (H, W, 3) after `turn` quarter turns counterclockwise."""
    return picture if turn == 0 else np.ascontiguousarray(np.rot90(picture, turn))


def turned_back(points: np.ndarray, shape: tuple[int, int], turn: int) -> np.ndarray:
    """Where points (..., 2) of a turned picture lie in the picture itself, whose (height, width) is `shape`."""
    height, width = shape
    x, y = points[..., 0], points[..., 1]
    back = {
        0: (x, y),
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }[turn]
    return np.stack(back, axis=-1)


def _as_displayed(observation: Observation, shape: tuple[int, int], turn: int) -> Observation:
    if turn == 0:
        return observation
    points = turned_back(observation.detection.landmarks, shape, turn)
    detection = replace(observation.detection, landmarks=points, box=box_from_landmarks(points))
    return replace(observation, detection=detection)
