"""Following faces from frame to frame, forwards and, where one was found late, backwards."""

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
from dynface_video.tracking.focus import measure_focus
from dynface_video.tracking.motion import LARGEST_DIFFERENCE, Expected, Found, Motion, is_among, match_faces, step_apart
from dynface_video.tracking.observation import Observation

if TYPE_CHECKING:
    from dynface_video.config import DetectionSettings

FOLLOWED_SHARE = 0.3
"""Of the minimum score, what is asked of a face that is being followed, or it would come and go; chosen on the clips of
the evaluation (model card)."""
LOOKED_BACK = 2
"""Intervals over which a face is followed backwards: the detector may have missed it once."""
LARGEST_JUMP = 0.5
LARGEST_GROWTH = 0.4
REACH_LOST = 0.08
LARGEST_REACH = 1.5
STEADY_AFTER = 3
THUMBNAIL = 24
LARGE_CHANGE = 0.08
"""Mean difference of thumbnails, in [0, 1], since the last detection that calls for another."""


@dataclass
class _Live:
    """A face being followed.

    strange:  running mean of how far from the expected place it was found, in sides of the face
    followed: frames in a row in which the locator found it; demanded: frame in which its loss last asked for a
    detection
    """

    number: int
    motion: Motion
    appearance: np.ndarray
    strange: float = 0.0
    followed: int = 0
    demanded: int = -(1 << 30)


@dataclass(frozen=True)
class _Seen:
    """What was found where a face was expected. step: how far from there, in sides of the face."""

    detection: Detection
    appearance: np.ndarray
    step: float


@dataclass
class _Return:
    """A face found by the detector, followed backwards until the frame `since`, at which it was last seen."""

    number: int
    motion: Motion
    since: int


class FaceTracker:
    """Finds faces every `settings.interval` frames and follows them in between; see `step`.

    Between detections a frame costs one call of `locator.locate` for all its faces. The detector looks when its turn
    comes, at a cut, when a face that was followed steadily is lost, and when the picture has changed much. Memory holds
    `LOOKED_BACK * settings.interval - 1` pictures.
    """

    def __init__(self, detector: FaceDetector, locator: FaceLocator, settings: DetectionSettings) -> None:
        self._detector, self._locator, self._settings = detector, locator, settings
        self._past: deque[tuple[int, np.ndarray]] = deque(maxlen=LOOKED_BACK * settings.interval - 1)
        self._places: dict[int, list[np.ndarray]] = {}
        self._live: dict[int, _Live] = {}
        self._next_number = 0
        self._last_detection: int | None = None
        self._thumbnail: np.ndarray | None = None
        self.detections = 0
        """Pictures that the detector has looked at."""

    def step(self, index: int, picture: np.ndarray, *, cut: bool) -> list[Observation]:
        """Take the next frame; `picture`, (H, W, 3) uint8 RGB, must not be changed afterwards.

        cut: whether a shot begins with this frame: nothing is followed over it.
        Returns the faces of this frame, and those of earlier ones that were found by looking back.
        """
        if cut:
            self._live.clear()
            self._past.clear()
        seen = self._follow(index, picture)
        confirmed: set[int] = set()
        earlier: list[Observation] = []
        looks = self._is_due(index, cut) or self._is_wanted(index, seen) or self._has_changed(index, picture)
        if looks:
            confirmed, returns = self._detect(index, picture, seen)
            earlier = self._look_back(returns)
            self._thumbnail = thumbnail(picture)
        self._update(index, seen)
        self._places[index] = [face.detection.landmarks for face in seen.values()]
        self._past.append((index, picture))
        self._forget()
        known = {number: number in confirmed if looks else None for number in seen}
        found = [_observation(index, number, face, known[number]) for number, face in seen.items()]
        if self._settings.skip_blurred_background:
            found = [
                replace(o, focus=measure_focus(picture, o.detection.landmarks)) if o.detected else o for o in found
            ]
        return earlier + found

    def _is_due(self, index: int, cut: bool) -> bool:
        return cut or self._last_detection is None or index - self._last_detection >= self._settings.interval

    def _is_wanted(self, index: int, seen: dict[int, _Seen]) -> bool:
        # A face that wavers would ask in every other frame: each may ask once an interval.
        asking = [
            live
            for number, live in self._live.items()
            if number not in seen and live.followed >= STEADY_AFTER and index - live.demanded >= self._settings.interval
        ]
        for live in asking:
            live.demanded = index
        return bool(asking)

    def _has_changed(self, index: int, picture: np.ndarray) -> bool:
        # A pan, a flash or somebody walking past brings faces in faster than the detector's turn comes.
        if self._thumbnail is None or self._last_detection is None or index - self._last_detection < 2:
            return False
        return float(np.abs(thumbnail(picture) - self._thumbnail).mean()) > LARGE_CHANGE

    def _follow(self, index: int, picture: np.ndarray) -> dict[int, _Seen]:
        """Look for every face where its motion has brought it."""
        looked = self._look(picture, [live.motion.predict(index) for live in self._live.values()])
        followed = {
            number: seen
            for (number, live), seen in zip(self._live.items(), looked, strict=True)
            if self._is_believed(seen, lost=live.motion.frame < index - 1)
            and difference(live.appearance, seen.appearance) < LARGEST_DIFFERENCE
        }
        return self._without_doubles(followed)

    def _look(self, picture: np.ndarray, expected: Sequence[np.ndarray]) -> list[_Seen]:
        if not expected:
            return []
        found = self._locator.locate(picture, np.stack([box_from_landmarks(points) for points in expected]))
        looked = []
        for i, points in enumerate(found.points):
            step, growth = step_apart(expected[i], points)
            detection = Detection(box_from_landmarks(points), points, found.std[i], float(found.score[i]))
            plausible = growth < LARGEST_GROWTH and _is_inside(points, picture)
            looked.append(_Seen(detection, appearance(picture, points), step if plausible else np.inf))
        return looked

    def _is_believed(self, seen: _Seen, *, lost: bool = False) -> bool:
        least = self._settings.minimum_score * (1.0 if lost else FOLLOWED_SHARE)
        return seen.detection.score >= least and seen.step <= LARGEST_JUMP

    def _without_doubles(self, followed: dict[int, _Seen]) -> dict[int, _Seen]:
        """Where several tracks ended up on one face, keep the one that was expected there and looks like it.

        When one face passes before another, the track of the hidden one slips onto the one in front.
        """

        def strangeness(number: int) -> float:
            live, seen = self._live[number], followed[number]
            return seen.step + live.strange + difference(live.appearance, seen.appearance)

        kept: dict[int, _Seen] = {}
        for number in sorted(followed, key=strangeness):
            if not _is_among(followed[number], kept.values()):
                kept[number] = followed[number]
        return {number: kept[number] for number in followed if number in kept}

    def _detect(self, index: int, picture: np.ndarray, seen: dict[int, _Seen]) -> tuple[set[int], list[_Return]]:
        """Let the detector look: confirms faces in `seen`, adds to it those that were lost and new ones.

        Returns the numbers of all faces the detector knows, and those to be followed backwards.
        """
        self._last_detection = index
        self.detections += 1
        found = [
            _Seen(detection, appearance(picture, detection.landmarks), 0.0)
            for detection in distinct(self._detector.detect(picture))
            if _is_inside(detection.landmarks, picture)
        ]
        matches = match_faces([self._expect(index, live, seen) for live in self._live.values()], _as_found(found))
        numbers = list(self._live)
        known = {j: numbers[i] for i, j in matches}
        confirmed = {number for number in known.values() if number in seen}
        for j, number in known.items():
            if number in seen:
                seen[number] = _surer(seen[number], found[j].detection.score)
        waiting = [j for j, face in enumerate(found) if known.get(j) not in seen and not _is_among(face, seen.values())]
        returns = []
        for j, face in zip(waiting, self._confirm(picture, [found[j] for j in waiting]), strict=True):
            if not _is_among(face, seen.values()):
                number = known[j] if j in known else self._begin(index, face)
                seen[number] = face
                confirmed.add(number)
                since = self._live[number].motion.frame if j in known else -1
                returns.append(_Return(number, Motion(index, face.detection.landmarks.astype(np.float64)), since))
        return confirmed, returns

    def _expect(self, index: int, live: _Live, seen: dict[int, _Seen]) -> Expected:
        if live.number in seen:
            return Expected(seen[live.number].detection.landmarks, None, LARGEST_JUMP)
        reach = min(LARGEST_JUMP + REACH_LOST * (index - live.motion.frame), LARGEST_REACH)
        return Expected(live.motion.predict(index), live.appearance, reach)

    def _confirm(self, picture: np.ndarray, found: list[_Seen]) -> list[_Seen]:
        """The same faces with the locator's landmarks, so that a track has them from one source; else as they are."""
        looked = self._look(picture, [face.detection.landmarks for face in found])
        return [
            _surer(look, face.detection.score) if self._is_believed(look) else face
            for look, face in zip(looked, found, strict=True)
        ]

    def _begin(self, index: int, face: _Seen) -> int:
        number, self._next_number = self._next_number, self._next_number + 1
        motion = Motion(index, face.detection.landmarks.astype(np.float64))
        self._live[number] = _Live(number, motion, face.appearance)
        return number

    def _look_back(self, returns: list[_Return]) -> list[Observation]:
        """Follow faces backwards through the pictures kept, each as long as it is believed and was not known there."""
        observations = []
        for index, picture in reversed(self._past):
            returns = [back for back in returns if back.since < index]
            looked = self._look(picture, [back.motion.predict(index) for back in returns])
            going = []
            for back, seen in zip(returns, looked, strict=True):
                points = seen.detection.landmarks
                if self._is_believed(seen) and not is_among(points, self._places[index]):
                    self._places[index].append(points)
                    back.motion.update(index, points)
                    observations.append(_observation(index, back.number, seen))
                    going.append(back)
            self._take_speed(going)
            returns = going
        return observations

    def _take_speed(self, returns: Iterable[_Return]) -> None:
        for back in returns:
            motion = self._live[back.number].motion
            if motion.updates == 0 and back.motion.updates == 1:
                motion.velocity, motion.updates = back.motion.velocity.copy(), 1

    def _update(self, index: int, seen: dict[int, _Seen]) -> None:
        longest = max(self._settings.maximum_gap, self._settings.interval)
        for number, live in list(self._live.items()):
            if number in seen:
                face = seen[number]
                live.followed = live.followed + 1 if live.motion.frame >= index - 1 else 0
                live.strange = 0.5 * live.strange + 0.5 * face.step
                live.appearance = running_mean(live.appearance, face.appearance)
                if live.motion.frame < index:
                    live.motion.update(index, face.detection.landmarks)
            else:
                live.followed = 0
                if index - live.motion.frame > longest:
                    del self._live[number]

    def _forget(self) -> None:
        kept = {index for index, _ in self._past}
        self._places = {index: places for index, places in self._places.items() if index in kept}


def _observation(index: int, number: int, seen: _Seen, known: bool | None = None) -> Observation:
    # Appearance only where the detector looked: between detections it changes too little to be worth its memory.
    return Observation(index, number, seen.detection, known is True, seen.appearance if known else None, known is False)


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) uint8 in few pixels, (THUMBNAIL, THUMBNAIL, 3) float32 in [0, 1]."""
    height, width = picture.shape[:2]
    # Every so many pixels are enough to average, and a small part of the reading.
    coarse = picture[:: max(1, height // (4 * THUMBNAIL)), :: max(1, width // (4 * THUMBNAIL))]
    small = cv2.resize(coarse, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / 255


def _is_among(face: _Seen, others: Iterable[_Seen]) -> bool:
    return is_among(face.detection.landmarks, [other.detection.landmarks for other in others])


def _is_inside(points: np.ndarray, picture: np.ndarray) -> bool:
    """Whether most of five points lie in the picture: beyond its border there is no face to restore."""
    height, width = picture.shape[:2]
    inside = (points >= 0).all(axis=1) & (points <= (width - 1, height - 1)).all(axis=1)
    return bool(inside.sum() >= 3)


def _as_found(faces: Iterable[_Seen]) -> list[Found]:
    return [Found(face.detection.landmarks, face.appearance) for face in faces]


def _surer(seen: _Seen, score: float) -> _Seen:
    return replace(seen, detection=replace(seen.detection, score=max(seen.detection.score, score)))
