from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.config import DetectionSettings
from dynface_video.faces.align import align_transform, apply_transform, extract_crop
from dynface_video.faces.detection import retinaface
from dynface_video.faces.detection.confirmed import ConfirmedDetector
from dynface_video.faces.detection.factory import make_detector
from dynface_video.faces.detection.retinaface import (
    RetinaFaceDetector,
    anchors,
    decode_boxes,
    decode_landmarks,
    encode_boxes,
    encode_landmarks,
)
from dynface_video.faces.landmark_locator import LandmarkLocator

EMBEDDED = Path(__file__).parents[3] / "dynface_video" / "models" / "mini" / "detector"


def test_anchors_are_those_of_facexlib() -> None:
    from facexlib.detection.retinaface import generate_config
    from facexlib.detection.retinaface_utils import PriorBox

    height, width = 90, 130
    theirs = PriorBox(generate_config("mobile0.25"), image_size=(height, width)).forward().numpy()
    assert np.allclose(anchors(height, width), theirs[:, :3] * [width, height, width], atol=1e-3)


def test_boxes_and_landmarks_there_and_back() -> None:
    rng = np.random.default_rng(0)
    squares = anchors(64, 64)[:20].astype(np.float64)
    low = rng.uniform(0, 40, (20, 2))
    boxes, points = np.concatenate([low, low + rng.uniform(5, 30, (20, 2))], axis=1), rng.uniform(0, 60, (20, 5, 2))
    assert np.allclose(decode_boxes(encode_boxes(boxes, squares), squares), boxes)
    assert np.allclose(decode_landmarks(encode_landmarks(points, squares), squares), points)


def test_boxes_are_decoded_as_facexlib_does() -> None:
    from facexlib.detection.retinaface_utils import decode

    squares, offsets = anchors(64, 64), np.random.default_rng(1).normal(0, 1, (168, 4)).astype(np.float32)
    assert len(squares) == 168
    theirs = decode(torch.from_numpy(offsets), torch.from_numpy(squares[:, [0, 1, 2, 2]]), [0.1, 0.2]).numpy()
    assert np.allclose(decode_boxes(offsets, squares), theirs, rtol=1e-5, atol=1e-3)


class Planted(nn.Module):
    """Answers as a perfect network would for one face."""

    def __init__(self, box: np.ndarray, points: np.ndarray) -> None:
        super().__init__()
        self.box, self.points, self.seen = box, points, []

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen.append(batch)
        squares = anchors(*batch.shape[2:])
        around = np.abs(squares[:, :2] - (self.box[:2] + self.box[2:]) / 2).max(axis=1) < 12
        logits = np.stack([np.zeros(len(squares)), np.where(around, 4.0, -6.0)], axis=1)
        offsets = encode_boxes(np.repeat(self.box[None], len(squares), 0), squares)
        points = encode_landmarks(np.repeat(self.points[None], len(squares), 0), squares)
        return tuple(
            torch.from_numpy(a[None].astype(np.float32)).expand(len(batch), -1, -1) for a in (offsets, logits, points)
        )


def test_a_face_comes_back_once_in_the_pictures_own_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retinaface, "CLOSE_UP_SIZE", 320)
    points = np.array([[40, 40], [56, 40], [48, 50], [42, 58], [54, 58.0]])
    network = Planted(np.array([32.0, 24.0, 64.0, 68.0]), points)
    detector = RetinaFaceDetector(network, torch.device("cpu"), working_size=160)
    picture = np.zeros((240, 320, 3), np.uint8)
    (found,) = detector.detect(picture)
    assert network.seen[0].shape == (1, 3, 120, 160)
    assert np.allclose(found.box, np.array([64, 48, 128, 136]) - 0.5, atol=1e-3)
    assert np.allclose(found.landmarks, points * 2 - 0.5, atol=1e-3)
    assert found.score > 0.9 and (found.landmark_std > 0).all()
    assert np.array_equal(detector.propose(picture), found.box[None])


class OnlySmall(Planted):
    """Sees its face in the second pass alone."""

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        offsets, logits, points = super().forward(batch)
        return offsets, logits * 2 if max(batch.shape[2:]) <= retinaface.CLOSE_UP_SIZE else -10.0 * logits.abs(), points


@pytest.mark.parametrize(("box", "found"), [((20.0, 10.0, 90.0, 90.0), 1), ((40.0, 30.0, 56.0, 50.0), 0)])
def test_faces_that_fill_the_picture_are_found_in_a_small_one(box: tuple[float, ...], found: int) -> None:
    detector = RetinaFaceDetector(OnlySmall(np.array(box), np.full((5, 2), 50.0)), torch.device("cpu"))
    faces = detector.detect(np.zeros((336, 448, 3), np.uint8))
    assert len(faces) == found
    for face in faces:
        assert np.allclose(face.box, np.array(box) * 4 - 0.5, atol=1e-2)


def test_faces_below_the_smallest_size_are_not_reported() -> None:
    network = Planted(np.array([32.0, 24.0, 64.0, 68.0]), np.zeros((5, 2)))
    detector = RetinaFaceDetector(network, torch.device("cpu"), minimum_size=60)
    assert detector.detect_batch([np.zeros((128, 128, 3), np.uint8)] * 2) == [[], []]


def test_the_network_sees_bgr_less_the_mean() -> None:
    seen = retinaface.network_input(np.full((1, 2, 2, 3), (10, 20, 30), np.uint8))
    assert seen[0, :, 0, 0].tolist() == [30 - 104, 20 - 117, 10 - 123]


@pytest.fixture(scope="module")
def embedded() -> ConfirmedDetector:
    """The preset's detector: RetinaFace proposes, the landmark network confirms."""
    locator = LandmarkLocator.from_pretrained(EMBEDDED.parent / "landmarks")
    detector = make_detector(DetectionSettings(), models=EMBEDDED.parent, locator=locator)
    assert isinstance(detector, ConfirmedDetector)
    return detector


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0])
def test_embedded_detector_finds_the_astronaut_and_nothing_else(embedded: ConfirmedDetector, scale: float) -> None:
    picture = cv2.resize(data.astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    (face,) = embedded.detect(picture)
    truth = (np.array(PHOTOGRAPH_LANDMARKS) + 0.5) * scale - 0.5
    assert np.allclose(face.landmarks, truth, atol=5 * scale)
    assert face.score > 0.9


def test_embedded_detector_finds_none_in_noise(embedded: ConfirmedDetector) -> None:
    assert embedded.detect(np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)) == []
    assert embedded.detect(data.coffee()) == []


@pytest.mark.parametrize("damage", ["blurred", "grey", "noisy", "cut"])
def test_embedded_detector_finds_a_face_that_fills_the_picture(embedded: ConfirmedDetector, damage: str) -> None:
    points = np.array(PHOTOGRAPH_LANDMARKS)
    transform = align_transform(points, 512)
    picture = (255 * extract_crop(data.astronaut(), transform, 512)).astype(np.uint8)
    if damage == "blurred":
        picture = cv2.GaussianBlur(picture, (0, 0), 10)
    elif damage == "grey":
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    elif damage == "noisy":
        picture = np.clip(picture + np.random.default_rng(0).normal(0, 40, picture.shape), 0, 255).astype(np.uint8)
    else:
        picture = np.ascontiguousarray(picture[160:440, 120:400])
    (face,) = embedded.detect(picture)
    wanted = apply_transform(transform, points) - ([120, 160] if damage == "cut" else [0, 0])
    assert np.linalg.norm(face.landmarks - wanted, axis=1).mean() < 15
