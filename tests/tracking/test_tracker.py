"""Following faces in scenes whose truth is known: a drawn world, a detector that misses, a locator that is fooled."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from dynface_video.config import DetectionSettings
from dynface_video.faces.align import TEMPLATE_512
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks, face_square
from dynface_video.tracking.observation import FaceTrack, Observation
from dynface_video.tracking.post_processing import post_process_tracks
from dynface_video.tracking.tracker import BACKWARD_INTERVALS, FaceTracker

WIDTH, HEIGHT = 640, 270
FACE = (TEMPLATE_512 - TEMPLATE_512.mean(axis=0)) / face_square(TEMPLATE_512).side
"""Five points around their mean for a face box of side 1."""
HIDDEN_WITHIN = 0.6

Path = Callable[[int], tuple[float, float, float] | None]


@dataclass
class World:
    """Faces on paths: each gives centre x, y and side in a frame, or None. Later ones pass in front of earlier ones."""

    paths: list[Path]
    frames: int = 60
    cuts: tuple[int, ...] = (0,)
    noise: float = 0.01
    misses: float = 0.0
    blind: frozenset[int] = frozenset()
    """Frames in which neither detector nor locator sees any face."""
    missed: frozenset[int] = frozenset()
    """Frames in which the detector alone sees none."""
    looked: list[int] = field(default_factory=list)
    located: list[int] = field(default_factory=list)

    def truth(self, frame: int) -> dict[int, np.ndarray]:
        """Landmarks of every face that is there, hidden or not."""
        places = {i: path(frame) for i, path in enumerate(self.paths)}
        return {i: FACE * p[2] + np.array(p[:2]) for i, p in places.items() if p is not None}

    def visible(self, frame: int) -> dict[int, np.ndarray]:
        """Landmarks of the faces that are not behind another."""
        there = self.truth(frame) if frame not in self.blind else {}
        return {
            i: points
            for i, points in there.items()
            if not any(j > i and _distance(points, other) < HIDDEN_WITHIN for j, other in there.items())
        }

    def picture(self, frame: int) -> np.ndarray:
        """(HEIGHT, WIDTH, 3) uint8: a pattern a face; the first two pixels hold the frame's number."""
        drawn = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for i, points in self.truth(frame).items():
            square = face_square(points)
            pattern = np.random.default_rng(100 + i).integers(20, 236, (4, 4, 3)).astype(np.uint8)
            x0, y0 = (square.centre - square.side / 2).astype(int)
            x1, y1 = (square.centre + square.side / 2).astype(int)
            if x1 > 0 and y1 > 0 and x0 < WIDTH and y0 < HEIGHT:
                big = cv2.resize(pattern, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
                part = drawn[max(y0, 0) : y1, max(x0, 0) : x1]
                part[:] = big[max(-y0, 0) :, max(-x0, 0) :][: part.shape[0], : part.shape[1]]
        drawn[0, 0], drawn[0, 1] = frame // 256, frame % 256
        return drawn

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """A detector that misses a share of the faces."""
        frame = _frame_of(picture)
        self.looked.append(frame)
        rng = np.random.default_rng(frame)
        found = []
        for points in self.visible(frame).values():
            noisy = self._noisy(points, rng)
            if rng.random() >= self.misses and frame not in self.missed:
                found.append(Detection(box_from_landmarks(noisy), noisy, np.full(5, 1, np.float32), 0.9))
        return found

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        """A locator that finds the nearest visible face within half a box of where it looks."""
        frame = _frame_of(picture)
        self.located.append(len(boxes))
        rng = np.random.default_rng(1000 + frame)
        points, scores = [], []
        for box in boxes:
            centre, side = (box[:2] + box[2:]) / 2, box[2] - box[0]
            near = [(np.hypot(*(face_square(p).centre - centre)) / side, i) for i, p in self.visible(frame).items()]
            distance, i = min(near, default=(9.0, -1))
            found = distance < 0.5
            points.append(self._noisy(self.visible(frame)[i], rng) if found else FACE * side + centre)
            scores.append(0.9 if found else 0.05)
        std = np.full((len(boxes), 5), 1, np.float32)
        return Landmarks(np.array(points, np.float32), std, np.array(scores, np.float32))

    def _noisy(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.normal(0, self.noise * face_square(points).side, (5, 2))
        return np.asarray(points + noise, np.float32)

    def observe(self, settings: DetectionSettings) -> list[Observation]:
        """All that a tracker sees."""
        tracker = FaceTracker(self, self, settings)
        seen = []
        for frame in range(self.frames):
            seen += tracker.step(frame, self.picture(frame), cut=frame in self.cuts)
        return seen

    def tracks(self, settings: DetectionSettings) -> list[FaceTrack]:
        """Finished tracks."""
        return post_process_tracks(self.observe(settings), self.cuts, settings=settings)[0]

    def followed(self, track: FaceTrack) -> dict[int, int]:
        """Which face a track lies on in how many frames; -1 for none."""
        counts: dict[int, int] = defaultdict(int)
        for offset, points in enumerate(track.landmarks):
            there = {i: _distance(points, p) for i, p in self.truth(track.start + offset).items()}
            nearest = min(there, key=lambda i: there[i], default=-1)
            counts[nearest if there.get(nearest, 9) < 0.3 else -1] += 1
        return dict(counts)


def _distance(points: np.ndarray, others: np.ndarray) -> float:
    return float(np.hypot(*(points.mean(axis=0) - others.mean(axis=0)))) / face_square(others).side


def _frame_of(picture: np.ndarray) -> int:
    return int(picture[0, 0, 0]) * 256 + int(picture[0, 1, 0])


def walk(x: float, y: float, side: float, speed: float = 0.0, first: int = 0, last: int = 10**6) -> Path:
    def place(frame: int) -> tuple[float, float, float] | None:
        return (x + speed * frame, y, side) if first <= frame <= last else None

    return place


SETTINGS = DetectionSettings(interval=5, maximum_gap=12)


def coverage(world: World, tracks: Iterable[FaceTrack], face: int) -> float:
    covered = {t.start + k for t in tracks if face in world.followed(t) for k in range(len(t.landmarks))}
    there = [frame for frame in range(world.frames) if face in world.truth(frame)]
    return len(covered & set(there)) / len(there)


def face_at(world: World, track: FaceTrack, position: int) -> int:
    """The face that a track lies on at a position in its frames."""
    frame = (track.start + position) if position >= 0 else track.stop + position
    there = {i: _distance(track.landmarks[position], points) for i, points in world.truth(frame).items()}
    return min(there, key=lambda i: there[i])


def test_still_and_walking_faces_are_whole_tracks() -> None:
    world = World([walk(100, 100, 50), walk(50, 200, 40, speed=4), walk(400, 80, 60, speed=-3)])
    tracks = world.tracks(SETTINGS)
    assert [world.followed(track) for track in tracks] == [{1: 60}, {0: 60}, {2: 60}]
    assert [track.number for track in tracks] == [1, 2, 3]


def test_the_detector_looks_only_every_interval() -> None:
    world = World([walk(100, 100, 50, speed=2)])
    world.observe(SETTINGS)
    assert world.looked == list(range(0, 60, 5))
    assert len(world.located) <= 60 + 12


def test_a_face_that_appears_between_detections_is_followed_back() -> None:
    world = World([walk(100, 100, 50, speed=3, first=21)])
    observations = world.observe(SETTINGS)
    assert sorted(o.frame for o in observations) == list(range(21, 60))
    assert {o.track for o in observations} == {0}
    assert [o.frame for o in observations if o.detected] == list(range(25, 60, 5))


def test_a_face_that_the_detector_missed_at_first_is_followed_back_to_its_start() -> None:
    world = World([walk(100, 100, 50, speed=3, first=22)], missed=frozenset(range(30)))
    assert sorted(o.frame for o in world.observe(SETTINGS)) == list(range(22, 60))


def test_looking_back_stops_at_a_cut() -> None:
    world = World([walk(100, 100, 50, last=21), walk(104, 100, 50, first=22)], cuts=(0, 22))
    observations = world.observe(SETTINGS)
    assert {o.track for o in observations if o.frame < 22}.isdisjoint(o.track for o in observations if o.frame >= 22)
    assert 22 in world.looked
    assert [(t.start, t.stop) for t in world.tracks(SETTINGS)] == [(0, 22), (22, 60)]


def test_a_detector_that_misses_half_leaves_no_hole() -> None:
    world = World([walk(60, 100, 50, speed=4), walk(400, 200, 40, speed=-2)], misses=0.5)
    tracks = world.tracks(SETTINGS)
    assert len(tracks) == 2
    assert min(coverage(world, tracks, face) for face in (0, 1)) > 0.8
    assert all(len(world.followed(track)) == 1 for track in tracks)


@pytest.mark.parametrize("speed", [5.0, 6.0, 8.0, 12.0])
@pytest.mark.parametrize("front_first", [False, True])
def test_crossing_faces_do_not_swap(speed: float, front_first: bool) -> None:
    paths = [walk(60, 130, 50, speed=speed), walk(60 + 27 * speed, 140, 55, speed=-speed / 2)]
    world = World(paths[::-1] if front_first else paths, frames=36)
    tracks = world.tracks(SETTINGS)
    assert len(tracks) == 2
    # Where one hides the other both lie in one place: what counts is that each goes on with its own.
    assert {face_at(world, t, 0) for t in tracks} == {0, 1}
    for track in tracks:
        assert len(track.landmarks) == world.frames
        assert face_at(world, track, 0) == face_at(world, track, -1)
        assert world.followed(track).get(-1, 0) == 0


def test_a_face_hidden_for_long_is_not_taken_for_the_one_in_front() -> None:
    world = World([walk(60, 130, 50, speed=2), walk(150, 140, 55, speed=-1)], frames=60)
    followed = [world.followed(track) for track in world.tracks(SETTINGS)]
    assert all(len(faces) == 1 for faces in followed)
    assert {1: 60} in followed


def test_faces_that_touch_and_part_again_keep_their_own() -> None:
    def bounce(frame: int) -> tuple[float, float, float]:
        return 150.0 + 2.5 * abs(frame - 30), 120.0, 50.0

    world = World([walk(95, 120, 50), bounce])
    tracks = world.tracks(SETTINGS)
    assert [world.followed(track) for track in tracks] == [{0: 60}, {1: 60}]


def test_short_blindness_is_bridged() -> None:
    world = World([walk(60, 100, 50, speed=4)], blind=frozenset(range(23, 31)))
    (track,) = world.tracks(SETTINGS)
    assert (track.start, track.stop) == (0, 60)
    assert np.flatnonzero(~track.observed).tolist() == list(range(23, 31))
    assert world.followed(track) == {0: 60}


def test_long_absence_is_not_bridged() -> None:
    world = World([walk(60, 100, 50)], blind=frozenset(range(20, 36)))
    assert [(t.start, t.stop) for t in world.tracks(SETTINGS)] == [(0, 20), (36, 60)]


def test_a_steady_face_that_is_lost_calls_the_detector_at_once() -> None:
    world = World([walk(60, 100, 50)], blind=frozenset({22}))
    world.observe(SETTINGS)
    assert 22 in world.looked


def test_a_face_that_jumps_is_found_again_at_once() -> None:
    world = World([lambda frame: (60.0, 100.0, 50.0) if frame < 23 else (140.0, 100.0, 50.0)])
    observations = world.observe(SETTINGS)
    assert sorted(o.frame for o in observations) == list(range(60))


def test_memory_is_bounded() -> None:
    world = World([walk(100, 100, 50)], frames=40)
    tracker = FaceTracker(world, world, SETTINGS)
    for frame in range(world.frames):
        tracker.step(frame, world.picture(frame), cut=frame == 0)
    assert len(tracker._past) == len(tracker._places) == BACKWARD_INTERVALS * SETTINGS.interval - 1


def test_every_frame_may_be_detected() -> None:
    world = World([walk(100, 100, 50, speed=2)], frames=20)
    (track,) = world.tracks(DetectionSettings(interval=1))
    assert world.looked == list(range(20))
    assert world.followed(track) == {0: 20}


def test_tracks_survive_json() -> None:
    (track,) = World([walk(100, 100, 50)], frames=10).tracks(SETTINGS)
    again = FaceTrack.from_json(track.to_json())
    np.testing.assert_allclose(again.landmarks, track.landmarks, atol=0.006)
    assert (again.number, again.start, again.stop) == (track.number, track.start, track.stop)
    assert (again.observed == track.observed).all()


def test_json_that_does_not_fit_together_is_an_error() -> None:
    (track,) = World([walk(100, 100, 50)], frames=10).tracks(SETTINGS)
    raw = track.to_json()
    raw["scores"].pop()
    with pytest.raises(ValueError, match="10 landmarks, 10 observed, 9 scores and 10 shown"):
        FaceTrack.from_json(raw)


def test_a_face_before_and_after_flashes_is_one_track_that_fills_its_shot() -> None:
    """Frames 5, 9 and 10 are white, and every change is suspected to be a cut, as `ShotDetector.feed` does."""
    world = World([walk(150, 120, 80)], frames=16, cuts=(0, 5, 6, 9, 11), blind=frozenset({5, 9, 10}))
    (track,), skipped = post_process_tracks(world.observe(SETTINGS), [0], settings=SETTINGS, frame_count=16)
    assert (track.start, track.stop, skipped) == (0, 16, [])
    assert np.flatnonzero(~track.observed).tolist() == [5, 9, 10]
    assert track.shown is None or (track.shown == 1).all()
