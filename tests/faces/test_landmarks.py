import cv2
import numpy as np
import pytest

from dynface_video.faces.landmarks import Square, box_from_landmarks, cut_square, face_square, square_from_box

FACE = np.array([[40.0, 50.0], [70.0, 52.0], [55.0, 68.0], [43.0, 84.0], [66.0, 85.0]])


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
