"""Detection in threads of its own: nothing is found otherwise than without it, and nothing is searched twice."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dynface_video.config import DetectionSettings
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks
from dynface_video.tracking.detection_ahead import THREAD_NAME, THREADS, DetectionAhead
from dynface_video.tracking.orientation import TurningTracker


class Blind:
    """Finds nothing and remembers which pictures it saw, in which threads."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.threads: set[str] = set()
        self.may_go = threading.Event()
        self.may_go.set()
        self.begun = threading.Semaphore(0)

    def detect(self, picture: np.ndarray) -> list[Detection]:
        self.begun.release()
        self.may_go.wait(20)
        self.seen.append(int(picture[0, 0, 0]))
        self.threads.add(threading.current_thread().name)
        return []

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        raise AssertionError("there is nothing to locate")


class Failing(Blind):
    def detect(self, picture: np.ndarray) -> list[Detection]:
        raise RuntimeError("a detector that fails")


def picture(number: int) -> np.ndarray:
    return np.full((40, 60, 3), number, np.uint8)


def running() -> int:
    return sum(thread.name.startswith(THREAD_NAME) for thread in threading.enumerate())


def test_what_was_expected_is_searched_once() -> None:
    pictures, blind = [picture(k) for k in range(4)], Blind()
    with DetectionAhead(blind) as ahead:
        ahead.expect(pictures[:2])
        ahead.expect(pictures[:2])
        assert ahead.detect(pictures[0]) == ahead.detect(pictures[1]) == ahead.detect(pictures[3]) == []
    assert sorted(blind.seen) == [0, 1, 3]
    assert all(name.startswith(THREAD_NAME) for name in blind.threads) and running() == 0


def test_what_is_no_longer_expected_is_not_begun() -> None:
    pictures, blind = [picture(k) for k in range(6)], Blind()
    blind.may_go.clear()
    with DetectionAhead(blind) as ahead:
        ahead.expect(pictures[:4])
        assert all(blind.begun.acquire(timeout=20) for _ in range(THREADS))
        ahead.expect(pictures[4:])
        blind.may_go.set()
        ahead.detect(pictures[4])
        ahead.detect(pictures[5])
    assert sorted(blind.seen) == [0, 1, 4, 5]


def test_its_errors_are_raised_where_the_result_is_asked_for() -> None:
    one = picture(0)
    with DetectionAhead(Failing()) as ahead:
        ahead.expect([one])
        with pytest.raises(RuntimeError, match="a detector that fails"):
            ahead.detect(one)
    assert running() == 0


def test_the_pictures_of_the_next_detections_are_told() -> None:
    blind = Blind()
    tracker = TurningTracker(blind, blind, DetectionSettings(interval=3, detect_rotated=False))
    steps = [(index, picture(index), index in (0, 8)) for index in range(12)]
    told = [int(one[0, 0, 0]) for one in tracker.next_detected(steps, 9)]
    for index, shown, cut in steps:
        tracker.step(index, shown, cut=cut)
    assert told == blind.seen == [0, 3, 6, 8, 11]
    assert len(tracker.next_detected([(12, picture(12), True), (13, picture(13), True)], 1)) == 1
