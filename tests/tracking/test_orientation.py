"""Shots whose faces lie on their side: found, followed, and reported where they are displayed."""

from collections.abc import Sequence

import numpy as np
import pytest

from dynface_video.config import DetectionSettings
from dynface_video.faces.align import TEMPLATE_512, align_transform
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks, face_square
from dynface_video.tracking.detection_ahead import DetectionAhead
from dynface_video.tracking.observation import Observation
from dynface_video.tracking.orientation import TurningTracker, turned, turned_back
from dynface_video.tracking.post_processing import post_process_tracks

FACE = ((TEMPLATE_512 - TEMPLATE_512.mean(axis=0)) / face_square(TEMPLATE_512).side * 60).astype(np.float32)
SETTINGS = DetectionSettings(interval=3)
HEIGHT, WIDTH = 240, 320


class Upright:
    """Sees one face, where a picture's brightest spot is, only when the picture's second spot lies above the first."""

    def __init__(self, score: float = 0.95) -> None:
        self.score, self.pictures = score, list[np.ndarray]()

    @property
    def looks(self) -> int:
        return len(self.pictures)

    def place(self, picture: np.ndarray) -> np.ndarray | None:
        bright = picture[..., 0].astype(int)
        y, x = np.unravel_index(bright.argmax(), bright.shape)
        above = np.unravel_index(picture[..., 1].astype(int).argmax(), bright.shape)
        upright = above[1] == x and above[0] < y
        return FACE + np.array([x, y], np.float32) if upright else None

    def detect(self, picture: np.ndarray) -> list[Detection]:
        self.pictures.append(picture)
        points = self.place(picture)
        if points is None:
            return []
        return [Detection(box_from_landmarks(points), points, np.ones(5, np.float32), self.score)]

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        points = self.place(picture)
        found = FACE if points is None else points
        many = np.repeat(found[None], len(boxes), axis=0)
        scores = np.full(len(boxes), 0.0 if points is None else self.score, np.float32)
        return Landmarks(many, np.ones((len(boxes), 5), np.float32), scores)


def scene(turn: int, x: int = 150) -> np.ndarray:
    """A displayed picture whose face at (x, 120) of the upright picture lies turned by so many quarters."""
    upright = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pattern = np.random.default_rng(0).integers(0, 255, (4, 4), np.uint8)
    upright[80:160, x - 40 : x + 40, 2] = np.kron(pattern, np.ones((20, 20), np.uint8))
    upright[120, x, 0] = upright[90, x, 1] = 255
    return np.ascontiguousarray(np.rot90(upright, -turn))


def observe(turns: Sequence[int], seer: Upright, cuts: Sequence[int] = (0,)) -> list[Observation]:
    tracker = TurningTracker(seer, seer, SETTINGS)
    return [o for i, turn in enumerate(turns) for o in tracker.step(i, scene(turn, 150 + i), cut=i in cuts)]


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_points_go_back_to_where_they_are_displayed(turn: int) -> None:
    picture = np.random.default_rng(turn).permutation(20 * 30).reshape(20, 30)
    y, x = np.unravel_index(turned(picture, turn).argmax(), turned(picture, turn).shape)
    back = turned_back(np.array([x, y]), picture.shape, turn)
    assert picture[back[1], back[0]] == picture.max()


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_sideways_shot_is_followed_whole_and_cropped_upright(turn: int) -> None:
    observations = observe([turn] * 12, Upright())
    assert sorted(o.frame for o in observations) == list(range(12))
    ((track,), left) = post_process_tracks(observations, [0], settings=SETTINGS)
    assert left == []
    for position in (0, 6, 11):
        expected = turned_back(FACE + np.array([150 + position, 120]), scene(turn).shape[:2], turn)
        np.testing.assert_allclose(track.landmarks[position], expected, atol=0.6)
    linear = align_transform(track.landmarks[6], 128)[:, :2]
    angle = np.degrees(np.arctan2(linear[1, 0], linear[0, 0])) % 360
    assert angle == pytest.approx(-90 * turn % 360, abs=1)


def test_upright_faces_cost_no_trial() -> None:
    seer = Upright()
    tracker = TurningTracker(seer, seer, SETTINGS)
    for index in range(12):
        tracker.step(index, scene(0), cut=index == 0)
    assert (tracker.trials, tracker.detections) == (0, 4)


def test_an_empty_shot_is_tried_a_few_times_only() -> None:
    seer = Upright()
    tracker = TurningTracker(seer, seer, SETTINGS)
    for index in range(120):
        assert tracker.step(index, np.zeros((HEIGHT, WIDTH, 3), np.uint8), cut=index == 0) == []
    assert tracker.trials == 9


def test_each_shot_is_judged_anew() -> None:
    observations = observe([3] * 6 + [0] * 6, Upright(), cuts=(0, 6))
    assert sorted(o.frame for o in observations) == list(range(12))
    upright = [o.detection.landmarks for o in observations if o.frame >= 6]
    assert all(points[0, 0] < points[1, 0] and abs(points[0, 1] - points[1, 1]) < 1 for points in upright)


def test_orientations_can_be_turned_off() -> None:
    seer = Upright()
    tracker = TurningTracker(seer, seer, DetectionSettings(interval=3, detect_rotated=False))
    assert [tracker.step(i, scene(1), cut=i == 0) for i in range(6)] == [[]] * 6
    assert tracker.trials == 0


def test_a_turned_shot_is_searched_as_without_it() -> None:
    steps = [(index, scene(index // 12 * 3, 150 + index % 12), index in (0, 12)) for index in range(24)]
    alone, seer = Upright(), Upright()
    tracker = TurningTracker(alone, alone, SETTINGS)
    wanted = [tracker.step(index, shown, cut=cut) for index, shown, cut in steps]
    with DetectionAhead(seer) as ahead:
        tracker = TurningTracker(ahead, seer, SETTINGS)
        found = []
        for index, shown, cut in steps:
            ahead.expect(tracker.next_detected(steps[index : index + 7], 2))
            found.append(tracker.step(index, shown, cut=cut))
    assert [[(o.frame, o.track) for o in step] for step in found] == [[(o.frame, o.track) for o in s] for s in wanted]
    for step, other in zip(found, wanted, strict=True):
        for one, same in zip(step, other, strict=True):
            np.testing.assert_array_equal(one.detection.landmarks, same.detection.landmarks)
    # One picture may be searched as displayed before the shot is known to be turned.
    assert seer.looks <= alone.looks + 1
