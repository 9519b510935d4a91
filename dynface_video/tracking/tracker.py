"""Tracking faces from frame to frame: forwards, and backwards where one was detected late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dynface_video.faces.detection.boxes import distinct
from dynface_video.faces.detection.detector import Detection, FaceDetector, FaceLocator
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.tracking.appearance import appearance, difference, running_mean
from dynface_video.tracking.face_motion import FaceMotion
from dynface_video.tracking.focus import measure_focus
from dynface_video.tracking.matching import (
    LARGEST_DIFFERENCE,
    ExpectedFace,
    FoundFace,
    displacement,
    is_among,
    match_faces,
)
from dynface_video.tracking.observation import Observation

if TYPE_CHECKING:
    from dynface_video.config import DetectionSettings

FOLLOWED_SHARE = 0.3
"""Share of the minimum score that a tracked face needs, so that it does not come and go; chosen on the clips of the
evaluation (model card)."""
BACKWARD_INTERVALS = 2
"""Detection intervals over which a face is tracked backwards: the detector may have missed it once."""
LARGEST_JUMP = 0.5
LARGEST_GROWTH = 0.4
REACH_LOST = 0.08
LARGEST_REACH = 1.5
STEADY_AFTER = 3
THUMBNAIL = 24
LARGE_CHANGE = 0.08
"""Mean difference of thumbnails, in [0, 1], since the last detection that calls for another."""


@dataclass
class _LiveTrack:
    """A face being tracked.

    Attributes:
        number: of the track.
        motion: by which its next place is predicted.
        appearance: moving average.
        surprise: moving average of its distance from the predicted place, in sides of the face.
        followed: consecutive frames in which the locator found it.
        requested: frame in which its loss last requested a detection.
    """

    number: int
    motion: FaceMotion
    appearance: np.ndarray
    surprise: float = 0.0
    followed: int = 0
    requested: int = -(1 << 30)


@dataclass(frozen=True)
class _Sighting:
    """What was found where a face was expected; `step` is the distance from there in sides of the face."""

    detection: Detection
    appearance: np.ndarray
    step: float


@dataclass
class _BackwardTrack:
    """A detected face that is tracked backwards until the frame `since`, in which it was last seen."""

    number: int
    motion: FaceMotion
    since: int


class FaceTracker:
    """Detects faces every `settings.interval` frames and tracks them in between; see `step`.

    Between detections a frame costs one call of `locator.locate` for all its faces. The detector runs when it is due,
    at a cut, when a face that was tracked steadily is lost, and when the picture has changed much. Memory holds
    `BACKWARD_INTERVALS * settings.interval - 1` pictures.

    Args:
        detector: finds faces in a picture.
        locator: finds a face near its predicted place.
        settings: of detection.
    """

    def __init__(self, detector: FaceDetector, locator: FaceLocator, settings: DetectionSettings) -> None:
        self._detector, self._locator, self._settings = detector, locator, settings
        self._past: deque[tuple[int, np.ndarray]] = deque(maxlen=BACKWARD_INTERVALS * settings.interval - 1)
        self._places: dict[int, list[np.ndarray]] = {}
        self._live: dict[int, _LiveTrack] = {}
        self._next_number = 0
        self._last_detection: int | None = None
        self._thumbnail: np.ndarray | None = None
        self.detections = 0
        """Pictures that the detector was run on."""

    def is_detection_due(self, index: int, *, cut: bool, last: int | None = None) -> bool:
        """Whether the detector is due on a frame, unless it runs on an earlier one for another reason.

        Args:
            index: Of the frame.
            cut: Whether a shot begins with it.
            last: The frame of the detection before it; None for the last that there was.
        """
        before = self._last_detection if last is None else last
        return cut or before is None or index - before >= self._settings.interval

    def step(self, index: int, picture: np.ndarray, *, cut: bool) -> list[Observation]:
        """Take the next frame.

        Args:
            index: of the frame.
            picture: (H, W, 3) uint8 RGB; it is kept and must not be changed afterwards.
            cut: whether a shot begins with this frame; no face is tracked over a cut.

        Returns:
            The faces of this frame, and those of earlier frames that were found by tracking backwards.
        """
        if cut:
            self._live.clear()
            self._past.clear()
        seen = self._follow(index, picture)
        confirmed: set[int] = set()
        earlier: list[Observation] = []
        detecting = (
            self.is_detection_due(index, cut=cut)
            or self._has_lost_a_face(index, seen)
            or self._has_changed(index, picture)
        )
        if detecting:
            confirmed, backward = self._detect(index, picture, seen)
            earlier = self._track_backwards(backward)
            self._thumbnail = thumbnail(picture)
        self._update(index, seen)
        self._places[index] = [face.detection.landmarks for face in seen.values()]
        self._past.append((index, picture))
        self._discard_places()
        known = {number: number in confirmed if detecting else None for number in seen}
        return earlier + self._observations(index, picture, seen, known)

    def _observations(
        self, index: int, picture: np.ndarray, seen: dict[int, _Sighting], known: dict[int, bool | None]
    ) -> list[Observation]:
        found = [_observation(index, number, face, known[number]) for number, face in seen.items()]
        if self._settings.skip_blurred_background:
            found = [_with_focus(one, picture) if one.detected else one for one in found]
        return found

    def _has_lost_a_face(self, index: int, seen: dict[int, _Sighting]) -> bool:
        # A face that comes and goes would request a detection in every other frame: one per interval is enough.
        requesting = [
            live
            for number, live in self._live.items()
            if number not in seen
            and live.followed >= STEADY_AFTER
            and index - live.requested >= self._settings.interval
        ]
        for live in requesting:
            live.requested = index
        return bool(requesting)

    def _has_changed(self, index: int, picture: np.ndarray) -> bool:
        # A pan, a flash or somebody walking past brings in faces before a detection is due.
        if self._thumbnail is None or self._last_detection is None or index - self._last_detection < 2:
            return False
        return float(np.abs(thumbnail(picture) - self._thumbnail).mean()) > LARGE_CHANGE

    def _follow(self, index: int, picture: np.ndarray) -> dict[int, _Sighting]:
        """Locate every tracked face at its predicted place."""
        located = self._locate(picture, [live.motion.predict(index) for live in self._live.values()])
        followed = {
            number: seen
            for (number, live), seen in zip(self._live.items(), located, strict=True)
            if self._is_believed(seen, lost=live.motion.frame < index - 1)
            and difference(live.appearance, seen.appearance) < LARGEST_DIFFERENCE
        }
        return self._without_duplicates(followed)

    def _locate(self, picture: np.ndarray, expected: Sequence[np.ndarray]) -> list[_Sighting]:
        if not expected:
            return []
        found = self._locator.locate(picture, np.stack([box_from_landmarks(points) for points in expected]))
        located = []
        for i, points in enumerate(found.points):
            step, growth = displacement(expected[i], points)
            detection = Detection(box_from_landmarks(points), points, found.std[i], float(found.score[i]))
            plausible = growth < LARGEST_GROWTH and _is_inside(points, picture)
            located.append(_Sighting(detection, appearance(picture, points), step if plausible else np.inf))
        return located

    def _is_believed(self, seen: _Sighting, *, lost: bool = False) -> bool:
        least = self._settings.minimum_score * (1.0 if lost else FOLLOWED_SHARE)
        return seen.detection.score >= least and seen.step <= LARGEST_JUMP

    def _without_duplicates(self, followed: dict[int, _Sighting]) -> dict[int, _Sighting]:
        """If several tracks lie on one face, keep the track whose prediction and appearance match it.

        When one face passes in front of another, the track of the hidden one slips onto the one in front.
        """

        def surprise_of(number: int) -> float:
            live, seen = self._live[number], followed[number]
            return seen.step + live.surprise + difference(live.appearance, seen.appearance)

        kept: dict[int, _Sighting] = {}
        for number in sorted(followed, key=surprise_of):
            if not _is_among(followed[number], kept.values()):
                kept[number] = followed[number]
        return {number: kept[number] for number in followed if number in kept}

    def _detect(
        self, index: int, picture: np.ndarray, seen: dict[int, _Sighting]
    ) -> tuple[set[int], list[_BackwardTrack]]:
        """Run the detector, and add lost and new faces to `seen`.

        Returns:
            The numbers of all faces that the detector confirms, and the faces to track backwards.
        """
        self._last_detection = index
        self.detections += 1
        found = [
            _Sighting(detection, appearance(picture, detection.landmarks), 0.0)
            for detection in distinct(self._detector.detect(picture))
            if _is_inside(detection.landmarks, picture)
        ]
        matches = match_faces([self._expect(index, live, seen) for live in self._live.values()], _as_found_faces(found))
        numbers = list(self._live)
        known = {j: numbers[i] for i, j in matches}
        confirmed = {number for number in known.values() if number in seen}
        for j, number in known.items():
            if number in seen:
                seen[number] = _with_score(seen[number], found[j].detection.score)
        waiting = [j for j, face in enumerate(found) if known.get(j) not in seen and not _is_among(face, seen.values())]
        backward = []
        for j, face in zip(waiting, self._confirm(picture, [found[j] for j in waiting]), strict=True):
            if not _is_among(face, seen.values()):
                number = known[j] if j in known else self._begin(index, face)
                seen[number] = face
                confirmed.add(number)
                since = self._live[number].motion.frame if j in known else -1
                backward.append(
                    _BackwardTrack(number, FaceMotion(index, face.detection.landmarks.astype(np.float64)), since)
                )
        return confirmed, backward

    def _expect(self, index: int, live: _LiveTrack, seen: dict[int, _Sighting]) -> ExpectedFace:
        if live.number in seen:
            return ExpectedFace(seen[live.number].detection.landmarks, None, LARGEST_JUMP)
        reach = min(LARGEST_JUMP + REACH_LOST * (index - live.motion.frame), LARGEST_REACH)
        return ExpectedFace(live.motion.predict(index), live.appearance, reach)

    def _confirm(self, picture: np.ndarray, found: list[_Sighting]) -> list[_Sighting]:
        """The faces with the locator's landmarks where it finds them, so that a track has them from one network."""
        located = self._locate(picture, [face.detection.landmarks for face in found])
        return [
            _with_score(sighting, face.detection.score) if self._is_believed(sighting) else face
            for sighting, face in zip(located, found, strict=True)
        ]

    def _begin(self, index: int, face: _Sighting) -> int:
        number, self._next_number = self._next_number, self._next_number + 1
        motion = FaceMotion(index, face.detection.landmarks.astype(np.float64))
        self._live[number] = _LiveTrack(number, motion, face.appearance)
        return number

    def _track_backwards(self, backward: list[_BackwardTrack]) -> list[Observation]:
        """Track faces backwards through the kept pictures, each until it is lost or meets a known face."""
        observations = []
        for index, picture in reversed(self._past):
            backward = [back for back in backward if back.since < index]
            located = self._locate(picture, [back.motion.predict(index) for back in backward])
            continuing = []
            for back, seen in zip(backward, located, strict=True):
                points = seen.detection.landmarks
                if self._is_believed(seen) and not is_among(points, self._places[index]):
                    self._places[index].append(points)
                    back.motion.update(index, points)
                    observations.append(_observation(index, back.number, seen))
                    continuing.append(back)
            self._initialise_velocity(continuing)
            backward = continuing
        return observations

    def _initialise_velocity(self, backward: Iterable[_BackwardTrack]) -> None:
        for back in backward:
            motion = self._live[back.number].motion
            if motion.updates == 0 and back.motion.updates == 1:
                motion.velocity, motion.updates = back.motion.velocity.copy(), 1

    def _update(self, index: int, seen: dict[int, _Sighting]) -> None:
        longest = max(self._settings.maximum_gap, self._settings.interval)
        for number, live in list(self._live.items()):
            if number in seen:
                face = seen[number]
                live.followed = live.followed + 1 if live.motion.frame >= index - 1 else 0
                live.surprise = 0.5 * live.surprise + 0.5 * face.step
                live.appearance = running_mean(live.appearance, face.appearance)
                if live.motion.frame < index:
                    live.motion.update(index, face.detection.landmarks)
            else:
                live.followed = 0
                if index - live.motion.frame > longest:
                    del self._live[number]

    def _discard_places(self) -> None:
        kept = {index for index, _ in self._past}
        self._places = {index: places for index, places in self._places.items() if index in kept}


def _observation(index: int, number: int, seen: _Sighting, known: bool | None = None) -> Observation:
    # Appearance only at detections: it changes too little in between to be worth its memory.
    return Observation(index, number, seen.detection, known is True, seen.appearance if known else None, known is False)


def _with_focus(observation: Observation, picture: np.ndarray) -> Observation:
    return replace(observation, focus=measure_focus(picture, observation.detection.landmarks))


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Reduce a picture (H, W, 3) uint8 to (THUMBNAIL, THUMBNAIL, 3) float32 in [0, 1]."""
    height, width = picture.shape[:2]
    # Averaging a subsample is accurate enough and reads a small part of the picture.
    coarse = picture[:: max(1, height // (4 * THUMBNAIL)), :: max(1, width // (4 * THUMBNAIL))]
    small = cv2.resize(coarse, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / 255


def _is_among(face: _Sighting, others: Iterable[_Sighting]) -> bool:
    return is_among(face.detection.landmarks, [other.detection.landmarks for other in others])


def _is_inside(points: np.ndarray, picture: np.ndarray) -> bool:
    """Whether most of five points lie in the picture: beyond its border there is no face to restore."""
    height, width = picture.shape[:2]
    inside = (points >= 0).all(axis=1) & (points <= (width - 1, height - 1)).all(axis=1)
    return bool(inside.sum() >= 3)


def _as_found_faces(faces: Iterable[_Sighting]) -> list[FoundFace]:
    return [FoundFace(face.detection.landmarks, face.appearance) for face in faces]


def _with_score(seen: _Sighting, score: float) -> _Sighting:
    return replace(seen, detection=replace(seen.detection, score=max(seen.detection.score, score)))
