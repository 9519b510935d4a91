import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.faces.detection.confirmed import ConfirmedDetector, joint_score
from dynface_video.faces.detection.detector import Detection, FaceLocator
from dynface_video.faces.landmarks import face_square

TRUTH = np.array(PHOTOGRAPH_LANDMARKS)


class Proposing:
    """A detector that sees the photograph's face and, just as sure, one where there is none."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        face = face_square(TRUTH)
        box = np.concatenate([face.centre - face.side / 2, face.centre + face.side / 2])
        boxes = [box, box + 150]
        return [Detection(b, np.zeros((5, 2), np.float32), np.ones(5, np.float32), 0.97) for b in boxes]


class Empty:
    """A detector that finds nothing."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        return []


def test_only_what_both_networks_believe_in_is_a_face(knowing: FaceLocator) -> None:
    (face,) = ConfirmedDetector(Proposing(), knowing, minimum_score=0.3).detect(astronaut())
    np.testing.assert_allclose(face.landmarks, TRUTH, atol=1e-4)
    assert face.score == pytest.approx(0.84, abs=0.02)


def test_a_picture_without_proposals_needs_no_locator(knowing) -> None:
    assert ConfirmedDetector(Empty(), knowing).detect(np.full((60, 80, 3), 128, np.uint8)) == []
    assert knowing.asked == 0


def test_two_witnesses_are_surer_than_one() -> None:
    both, one, none = joint_score(np.array([0.97, 0.97, 0.5]), np.array([0.97, 0.5, 0.5]))
    assert both > 0.5 > one > none
    assert joint_score(np.array([0.0]), np.array([1.0]))[0] < 0.5
