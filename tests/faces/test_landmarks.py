from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dynface_video.errors import ModelError
from dynface_video.faces.landmarks import (
    LandmarkConfig,
    LandmarkLocator,
    LandmarkNetwork,
    Square,
    box_from_landmarks,
    cut_square,
    face_square,
    square_from_box,
)
from dynface_video.models.folder import save_folder

EMBEDDED = Path(__file__).parents[2] / "dynface_video" / "models" / "mini" / "landmarks"
FACE = np.array([[40.0, 50.0], [70.0, 52.0], [55.0, 68.0], [43.0, 84.0], [66.0, 85.0]])
ASTRONAUT = np.array([[203.9, 103.2], [247.2, 103.6], [223.0, 126.3], [203.5, 143.6], [241.5, 144.7]])
"""Of scikit-image's portrait: the median of YuNet's answers at five scales."""


def test_square_there_and_back() -> None:
    square = Square(np.array([31.0, 17.5]), 40.0, 0.6)
    points = np.random.default_rng(0).uniform(-1, 1, (7, 2))
    assert np.allclose(square.from_picture(square.to_picture(points)), points)


def test_transform_and_to_picture_agree() -> None:
    square, size = Square(np.array([31.0, 17.5]), 40.0, -0.4), 64
    point = np.array([0.25, -0.5])
    crop = square.transform(size) @ np.append(square.to_picture(point), 1)
    assert np.allclose(crop, point * size / 2 + (size - 1) / 2)


def test_cut_keeps_the_place_of_a_spot_when_it_shrinks() -> None:
    picture = np.zeros((300, 300, 3), np.float32)
    cv2.circle(picture, (140, 170), 12, (1, 1, 1), -1)
    square = Square(np.array([150.0, 150.0]), 256.0, 0.3)
    crop = cut_square(picture, square, 64)[..., 0]
    y, x = np.mgrid[:64, :64]
    spot = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
    assert np.allclose(spot, square.transform(64) @ [140, 170, 1], atol=0.1)


def test_face_square_turns_and_scales_with_the_face() -> None:
    angle, scale = 0.5, 1.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    first, second = face_square(FACE), face_square(scale * FACE @ turn.T)
    assert second.side == pytest.approx(scale * first.side)
    assert second.angle - first.angle == pytest.approx(angle)
    assert np.allclose(second.centre, scale * turn @ first.centre)


def test_box_contains_the_landmarks_and_is_square() -> None:
    x0, y0, x1, y1 = box_from_landmarks(FACE)
    assert x1 - x0 == pytest.approx(y1 - y0, rel=1e-5)
    assert (FACE.min(axis=0) > [x0, y0]).all() and (FACE.max(axis=0) < [x1, y1]).all()
    assert square_from_box(box_from_landmarks(FACE)).side == pytest.approx(face_square(FACE).side, rel=1e-5)


def test_coincident_landmarks_give_a_finite_box() -> None:
    assert np.isfinite(box_from_landmarks(np.full((5, 2), 9.0))).all()


@pytest.mark.parametrize("heatmap", [True, False])
def test_network_shapes(heatmap: bool) -> None:
    network = LandmarkNetwork(LandmarkConfig(heatmap=heatmap)).eval()
    points, log_deviation, logit = network(torch.zeros(3, 3, 64, 64))
    assert points.shape == (3, 5, 2) and log_deviation.shape == (3, 5) and logit.shape == (3,)


def test_locator_without_boxes_finds_nothing() -> None:
    found = LandmarkLocator(LandmarkNetwork(LandmarkConfig()).eval()).locate(
        np.zeros((20, 20, 3), np.uint8), np.zeros((0, 4))
    )
    assert found.points.shape == (0, 5, 2) and found.deviation.shape == (0, 5) and found.score.shape == (0,)


def test_a_face_does_not_depend_on_the_others_in_the_call() -> None:
    torch.manual_seed(0)
    locator = LandmarkLocator(LandmarkNetwork(LandmarkConfig()).eval(), batch_size=2)
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    boxes = np.array([[10, 10, 50, 60], [-20, 30, 30, 80], [60, 5, 100, 45.0]])
    together = locator.locate(picture, boxes)
    alone = locator.locate(picture, boxes[1:2])
    assert np.allclose(together.points[1], alone.points[0], atol=1e-3)


def test_saved_network_is_read_back(tmp_path: Path) -> None:
    save_folder(LandmarkNetwork(LandmarkConfig()), {"network": {"channels": [16, 24, 48, 96]}}, tmp_path)
    assert LandmarkLocator.from_folder(tmp_path).network.config == LandmarkConfig()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        LandmarkLocator.from_folder(tmp_path)


@pytest.fixture(scope="module")
def embedded() -> LandmarkLocator:
    return LandmarkLocator.from_folder(EMBEDDED)


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
    assert blurred.deviation.mean() > 1.2 * sharp.deviation.mean()


def test_embedded_network_turns_down_what_is_no_face(embedded: LandmarkLocator) -> None:
    boxes = np.array([[20, 380, 130, 490], [330, 60, 420, 150], [120, 300, 210, 390.0]])
    assert embedded.locate(astronaut(), boxes).score.max() < 0.5


def test_embedded_network_follows_a_turn(embedded: LandmarkLocator) -> None:
    matrix = cv2.getRotationMatrix2D((220.0, 125.0), 25, 1.0)
    turned = cv2.warpAffine(astronaut(), matrix, (512, 512))
    truth = ASTRONAUT @ matrix[:, :2].T + matrix[:, 2]
    found = embedded.locate(turned, box_from_landmarks(truth)[None])
    assert np.linalg.norm(found.points[0] - truth, axis=1).mean() < 0.1 * eye_distance(truth)
