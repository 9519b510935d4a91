from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dynface_video.errors import ModelError
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.faces.landmark_network import LandmarkNetwork
from dynface_video.faces.landmarks import box_from_landmarks, face_square

EMBEDDED = Path(__file__).parents[2] / "dynface_video" / "models" / "mini" / "landmarks"
ASTRONAUT = np.array([[203.9, 103.2], [247.2, 103.6], [223.0, 126.3], [203.5, 143.6], [241.5, 144.7]])
"""Of scikit-image's portrait: the median of YuNet's answers at five scales."""


def test_locator_without_boxes_finds_nothing() -> None:
    found = LandmarkLocator(LandmarkNetwork().eval()).locate(np.zeros((20, 20, 3), np.uint8), np.zeros((0, 4)))
    assert found.points.shape == (0, 5, 2) and found.std.shape == (0, 5) and found.score.shape == (0,)


def test_a_face_does_not_depend_on_the_others_in_the_call() -> None:
    torch.manual_seed(0)
    locator = LandmarkLocator(LandmarkNetwork().eval(), batch_size=2)
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    boxes = np.array([[10, 10, 50, 60], [-20, 30, 30, 80], [60, 5, 100, 45.0]])
    together = locator.locate(picture, boxes)
    alone = locator.locate(picture, boxes[1:2])
    assert np.allclose(together.points[1], alone.points[0], atol=1e-3)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        LandmarkLocator.from_pretrained(tmp_path)


@pytest.fixture(scope="module")
def embedded() -> LandmarkLocator:
    return LandmarkLocator.from_pretrained(EMBEDDED)


def astronaut() -> np.ndarray:
    from skimage import data

    return data.astronaut()


def eye_distance(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[1] - points[0]))


@pytest.mark.parametrize("shift, zoom", [((0, 0), 1.0), ((12, -8), 0.8), ((-12, 10), 1.35)])
def test_embedded_network_finds_a_face_through_a_wrong_box(embedded: LandmarkLocator, shift, zoom: float) -> None:
    square = face_square(ASTRONAUT)
    centre = square.centre + shift
    box = np.concatenate([centre - zoom * square.side / 2, centre + zoom * square.side / 2])
    found = embedded.locate(astronaut(), box[None])
    error = np.linalg.norm(found.points[0] - ASTRONAUT, axis=1).mean() / eye_distance(ASTRONAUT)
    assert error < 0.1 and found.score[0] > 0.8


def test_embedded_network_is_less_sure_of_a_blurred_face(embedded: LandmarkLocator) -> None:
    box = box_from_landmarks(ASTRONAUT)[None]
    sharp = embedded.locate(astronaut(), box)
    blurred = embedded.locate(cv2.GaussianBlur(astronaut(), (0, 0), 9), box)
    assert blurred.std.mean() > 1.2 * sharp.std.mean()


def test_embedded_network_turns_down_what_is_no_face(embedded: LandmarkLocator) -> None:
    boxes = np.array([[20, 380, 130, 490], [330, 60, 420, 150], [120, 300, 210, 390.0]])
    assert embedded.locate(astronaut(), boxes).score.max() < 0.5


def test_embedded_network_follows_a_turn(embedded: LandmarkLocator) -> None:
    matrix = cv2.getRotationMatrix2D((220.0, 125.0), 25, 1.0)
    turned = cv2.warpAffine(astronaut(), matrix, (512, 512))
    truth = ASTRONAUT @ matrix[:, :2].T + matrix[:, 2]
    found = embedded.locate(turned, box_from_landmarks(truth)[None])
    assert np.linalg.norm(found.points[0] - truth, axis=1).mean() < 0.1 * eye_distance(truth)
