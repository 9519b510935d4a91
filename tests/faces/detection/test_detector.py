"""Detectors: the cascades with a locator that confirms, YuNet where its file is at hand, and what both share."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.config import DetectionSettings
from dynface_video.errors import ModelError
from dynface_video.faces.detection.detector import (
    CASCADES,
    CascadeDetector,
    ConfirmedDetector,
    Detection,
    YuNetDetector,
    distinct,
    joint_score,
    lies_in,
    make_detector,
    overlap_of,
    shrink_to,
)
from dynface_video.faces.landmarks import Landmarks, face_square

TRUTH = np.array(PHOTOGRAPH_LANDMARKS)
YUNET = Path(os.environ.get("DYNFACE_DATA", Path(__file__).parents[4] / "shared" / "data")).joinpath(
    "detectors", "yunet_n_640_640.onnx"
)
EMBEDDED = Path(__file__).parents[3] / "dynface_video" / "models" / "mini"
needs_yunet = pytest.mark.skipif(not YUNET.is_file(), reason=f"{YUNET} is absent: set DYNFACE_DATA")


class Knowing:
    """A locator that knows the photograph's one face, at a scale."""

    def __init__(self, scale: float = 1.0) -> None:
        self.truth = ((TRUTH + 0.5) * scale - 0.5).astype(np.float32)
        self.asked = 0

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        self.asked += len(boxes)
        face = face_square(self.truth.astype(np.float64))
        sides = boxes[:, 2] - boxes[:, 0]
        apart = np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2 - face.centre).T) / face.side
        # What the landmark network was trained to cope with: a box off by 15 % of its side, wrong in size by a third.
        near = (apart < 0.15) & (np.abs(np.log(sides / face.side)) < 0.33)
        points = np.repeat(self.truth[None], len(boxes), 0)
        return Landmarks(points, np.ones((len(boxes), 5), np.float32), np.where(near, 0.9, 0.1).astype(np.float32))


def test_the_cascades_box_is_near_enough_for_the_locator() -> None:
    (face,) = CascadeDetector(Knowing()).detect(astronaut())
    np.testing.assert_allclose(face.landmarks, TRUTH, atol=1e-4)
    assert face.score == pytest.approx(0.9)


def test_a_large_picture_is_searched_at_the_working_size() -> None:
    large = np.repeat(np.repeat(astronaut(), 2, 0), 2, 1)
    (face,) = CascadeDetector(Knowing(2), working_size=400).detect(large)
    np.testing.assert_allclose(face.landmarks, (TRUTH + 0.5) * 2 - 0.5, atol=1e-3)


class Firing:
    """A classifier that always finds one box: x, y, width, height."""

    def detectMultiScale(self, picture: np.ndarray, *_: float, minSize: tuple[int, int]) -> np.ndarray:
        return np.array([[10, 20, 30, 30]])


def test_a_profile_is_also_looked_for_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = CascadeDetector(Knowing())
    monkeypatch.setattr(detector, "_classifiers", dict.fromkeys((c.name for c in CASCADES), Firing()))
    frontal, left, right = detector.propose(np.zeros((100, 120, 3), np.uint8))
    np.testing.assert_allclose([119 - right[2], right[1], 119 - right[0], right[3]], left)
    assert left[0] < frontal[0] < right[0]


def test_faces_that_the_locator_denies_are_dropped() -> None:
    locator = Knowing(3)
    assert CascadeDetector(locator).detect(astronaut()) == []
    assert locator.asked > 0


def test_a_picture_without_anything_needs_no_locator() -> None:
    locator = Knowing()
    assert CascadeDetector(locator).detect(np.full((60, 80, 3), 128, np.uint8)) == []
    assert locator.asked == 0


def detection(x: float, score: float) -> Detection:
    box = np.array([x, 0, x + 10, 10], np.float32)
    return Detection(box, np.zeros((5, 2), np.float32), np.ones(5, np.float32), score)


def test_of_detections_on_one_face_the_surest_stays() -> None:
    found = distinct([detection(0, 0.6), detection(2, 0.8), detection(30, 0.7)])
    assert [d.score for d in found] == [0.8, 0.7]
    assert distinct([]) == []


def test_a_part_of_a_face_is_not_a_face_of_its_own() -> None:
    whole = Detection(np.array([0, 0, 100, 100], np.float32), np.zeros((5, 2), np.float32), np.ones(5), 0.8)
    assert [d.score for d in distinct([whole, replace(detection(45, 0.6), box=np.array([45, 45, 60, 60]))])] == [0.8]
    beside = replace(detection(0, 0.6), box=np.array([96, 96, 112, 112]))
    assert len(distinct([whole, beside])) == 2


class Proposing:
    """A detector that sees the photograph's face and, just as sure, one where there is none."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        face = face_square(TRUTH)
        box = np.concatenate([face.centre - face.side / 2, face.centre + face.side / 2])
        boxes = [box, box + 150]
        return [Detection(b, np.zeros((5, 2), np.float32), np.ones(5, np.float32), 0.97) for b in boxes]


def test_a_face_half_behind_another_stays_a_face() -> None:
    front, behind = np.array([0.0, 0, 100, 100]), np.array([80.0, 20, 130, 70])
    assert not lies_in(behind, front)
    assert lies_in(behind - [35, 0, 35, 0], front)
    assert not lies_in(front, behind)


def test_only_what_both_networks_believe_in_is_a_face() -> None:
    (face,) = ConfirmedDetector(Proposing(), Knowing(), minimum_score=0.3).detect(astronaut())
    np.testing.assert_allclose(face.landmarks, TRUTH, atol=1e-4)
    assert face.score == pytest.approx(0.84, abs=0.02)


def test_two_witnesses_are_surer_than_one() -> None:
    both, one, none = joint_score(np.array([0.97, 0.97, 0.5]), np.array([0.97, 0.5, 0.5]))
    assert both > 0.5 > one > none
    assert joint_score(np.array([0.0]), np.array([1.0]))[0] < 0.5


def test_overlap() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(overlap_of(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])


def test_small_pictures_are_not_enlarged() -> None:
    picture = np.zeros((30, 40, 3), np.uint8)
    assert shrink_to(picture, 640) == (picture, 1.0)
    small, scale = shrink_to(np.zeros((300, 1280, 3), np.uint8), 640)
    assert (small.shape, scale) == ((150, 640, 3), 0.5)


@needs_yunet
@pytest.mark.parametrize("working_size", [256, 512])
def test_yunet_finds_the_face_of_the_photograph(working_size: int) -> None:
    (face,) = YuNetDetector(YUNET, working_size=working_size).detect(astronaut())
    assert face.score > 0.8
    np.testing.assert_allclose(face.landmarks, TRUTH, atol=3)
    assert YuNetDetector(YUNET, minimum_size=200).detect(astronaut()) == []


@needs_yunet
def test_yunet_finds_no_face_where_there_is_none() -> None:
    assert YuNetDetector(YUNET).detect(np.zeros((100, 100, 3), np.uint8)) == []


def test_a_missing_or_broken_yunet_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        YuNetDetector(tmp_path / "yunet.onnx")
    (tmp_path / "yunet.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot read it"):
        YuNetDetector(tmp_path / "yunet.onnx")


def test_the_settings_choose_the_detector(tmp_path: Path) -> None:
    cascade = DetectionSettings(detector="cascade")
    assert isinstance(make_detector(cascade, models=tmp_path, locator=Knowing()), CascadeDetector)
    assert isinstance(make_detector(DetectionSettings(), models=EMBEDDED, locator=Knowing()), ConfirmedDetector)
    with pytest.raises(ModelError):
        make_detector(DetectionSettings(detector="retinaface"), models=tmp_path, locator=Knowing())
    missing = DetectionSettings(detector="yunet", yunet_model=tmp_path / "yunet.onnx")
    with pytest.raises(ModelError, match="no such file"):
        make_detector(missing, models=tmp_path, locator=Knowing())
