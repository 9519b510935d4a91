"""Steadier labels from many views of a crop."""

from pathlib import Path

import cv2
import numpy as np

from training import labels
from training.data import FaceSet
from training.labels import steady_landmarks

TEMPLATE = np.array([[96, 120], [160, 120], [128, 150], [101, 185], [155, 185]], np.float32)


class DotReader:
    """A teacher that finds five bright dots and names them by where they lie in the view, as YuNet does."""

    def detect(self, view: np.ndarray) -> tuple[int, np.ndarray | None]:
        _, _, _, centres = cv2.connectedComponentsWithStats((view[..., 0] > 90).astype(np.uint8))
        dots = sorted(centres[1:], key=lambda p: p[1])
        if len(dots) != 5:
            return 0, None
        eyes, nose, mouth = sorted(dots[:2], key=lambda p: p[0]), dots[2], sorted(dots[3:], key=lambda p: p[0])
        points = np.array([*eyes, nose, *mouth]).ravel()
        return 1, np.concatenate([np.zeros(4), points, [0.9]])[None]


def faces_with(label: np.ndarray, *, dots: bool = True) -> FaceSet:
    picture = np.zeros((256, 256, 3), np.uint8)
    for x, y in TEMPLATE.astype(int):
        if dots:
            cv2.circle(picture, (int(x), int(y)), 7, (255, 255, 255), -1)
    corners = np.zeros((1, 4, 2), np.float32)
    return FaceSet(
        picture[None], corners, label[None], np.full(1, 20.0, np.float32), np.ones(1, np.float32), np.zeros(1, bool)
    )


def test_a_noisy_label_moves_to_where_the_views_agree(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(labels, "teacher_for", lambda path: DotReader())
    noisy = TEMPLATE + np.float32([[5, -4], [-6, 3], [4, 4], [0, 5], [-5, 0]])
    steady = steady_landmarks(faces_with(noisy), tmp_path / "teacher", tmp_path / "landmarks.npy")
    assert np.abs(steady[0] - TEMPLATE).max() < 0.8


def test_a_label_stays_where_the_teacher_sees_no_face(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(labels, "teacher_for", lambda path: DotReader())
    steady = steady_landmarks(faces_with(TEMPLATE + 3, dots=False), tmp_path / "teacher", tmp_path / "landmarks.npy")
    assert np.array_equal(steady[0], TEMPLATE + 3)


def test_what_was_found_once_is_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "landmarks.npy", TEMPLATE[None])
    assert np.array_equal(
        steady_landmarks(faces_with(TEMPLATE), tmp_path / "x", tmp_path / "landmarks.npy")[0], TEMPLATE
    )
