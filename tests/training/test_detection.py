"""Targets of the detector and the crowds that it learns from."""

import numpy as np
import pytest
import torch

from dotted_faces import TEMPLATE, dotted_faces
from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.detection.retinaface import anchors, decode_boxes, decode_landmarks
from training.crowds import Crowd, CrowdComposer, covered, mirror, view_aside, visible, warp
from training.detection import DetectorTraining, damage, match
from training.scenes import Scene

SQUARES = anchors(128, 128)


def face_at(x: float, y: float, tall: float) -> tuple[np.ndarray, np.ndarray]:
    box = np.array([x - 0.37 * tall, y - tall / 2, x + 0.37 * tall, y + tall / 2])
    return box, (TEMPLATE - 128) / 165 * tall + [x, y]


@pytest.mark.parametrize("tall", [12.0, 20.0, 70.0, 120.0])
def test_every_face_gets_an_anchor_that_stands_for_it(tall: float) -> None:
    box, points = face_at(61.0, 59.0, tall)
    label, offsets, marks = match(box[None], points[None], SQUARES, 10.0)
    face = label == 1
    assert face.any()
    assert np.allclose(decode_boxes(offsets[face], SQUARES[face]), box + 0.5, atol=1e-3)
    assert np.allclose(decode_landmarks(marks[face], SQUARES[face]), points + 0.5, atol=1e-3)


def test_two_faces_both_get_anchors() -> None:
    faces = [face_at(30, 40, 30), face_at(60, 40, 30)]
    label, offsets, _ = match(np.array([f[0] for f in faces]), np.array([f[1] for f in faces]), SQUARES, 10.0)
    boxes = decode_boxes(offsets[label == 1], SQUARES[label == 1])
    assert (overlaps(np.array([f[0] for f in faces]) + 0.5, boxes).max(axis=1) > 0.99).all()


def test_faces_too_small_to_ask_for_are_not_punished() -> None:
    box, points = face_at(61.0, 59.0, 8.0)
    label, _, _ = match(box[None], points[None], SQUARES, 10.0)
    assert not (label == 1).any() and (label == -1).any()


def test_over_faces_that_are_cut_off_nothing_is_punished() -> None:
    half = np.array([[-30.0, 40, 30, 100]])
    label, _, _ = match(np.zeros((0, 4)), np.zeros((0, 5, 2)), SQUARES, 10.0, half)
    over = (SQUARES[:, 0] < 20) & (SQUARES[:, 1] > 50) & (SQUARES[:, 1] < 90) & (SQUARES[:, 2] <= 64)
    away = SQUARES[:, 0] > 100
    assert over.any() and (label[over] == -1).all()
    assert (label[away & (SQUARES[:, 2] <= 64)] == 0).all()


def test_no_faces_is_all_background() -> None:
    label, _, _ = match(np.zeros((0, 4)), np.zeros((0, 5, 2)), SQUARES, 10.0)
    assert (label == 0).all()


def test_mirrored_twice_is_the_same() -> None:
    box, points = face_at(40, 50, 30)
    crowd = Crowd(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), box[None], points[None])
    once, twice = mirror(crowd), mirror(mirror(crowd))
    assert np.array_equal(twice.picture, crowd.picture) and np.allclose(twice.landmarks, crowd.landmarks)
    assert once.landmarks[0, 0, 0] < once.landmarks[0, 1, 0]
    assert np.allclose(twice.boxes, crowd.boxes)


def test_warp_shrinks_without_moving() -> None:
    picture = np.zeros((200, 200), np.float32)
    picture[96:105, 56:65] = 1
    small = warp(picture, np.array([[0.25, 0, 0], [0, 0.25, 0.0]]), 50, 50)
    y, x = np.mgrid[:50, :50]
    assert (x * small).sum() / small.sum() == pytest.approx(15.0, abs=0.1)
    assert (y * small).sum() / small.sum() == pytest.approx(25.0, abs=0.1)


def test_visible_share() -> None:
    assert visible(np.array([-5.0, 0, 5, 10]), (0, 0, 20, 20)) == pytest.approx(0.5)


def test_covered_share() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 255
    assert covered(np.array([10.0, 5, 30, 25]), mask) == pytest.approx(0.5)
    assert covered(np.array([-30.0, 5, 10, 25]), mask) == covered(np.array([50.0, 5, 60, 25]), mask) == 0.0


@pytest.fixture(scope="module")
def composer() -> CrowdComposer:
    """Faces are white with five black dots, scenes are dark: a label can be checked against pixels."""
    faces = dotted_faces(230)
    picture = faces.images[0]
    box = np.array([58, 60, 198, 230], np.float32)
    with_face = [Scene(f"{i}", picture, box[None], TEMPLATE[None]) for i in range(60)]
    without = [
        Scene(f"e{i}", np.full((90, 120, 3), 60, np.uint8), np.zeros((0, 4)), np.zeros((0, 5, 2))) for i in range(60)
    ]
    return CrowdComposer(faces, with_face + without, 128, smallest=14, largest=110)


def test_landmarks_of_a_crowd_lie_on_the_dots(composer: CrowdComposer) -> None:
    dark = []
    for seed in range(40):
        crowd = composer.draw(np.random.default_rng(seed), held_out=False)
        inside = crowd.landmarks[(crowd.boxes[:, 3] - crowd.boxes[:, 1]) > 40].reshape(-1, 2).round().astype(int)
        inside = inside[((inside >= 0) & (inside < 128)).all(axis=1)]
        dark += [*crowd.picture[inside[:, 1], inside[:, 0], 0]]
    assert len(dark) > 30 and np.mean(np.array(dark) < 120) > 0.85


def test_a_view_aside_shows_no_face(composer: CrowdComposer) -> None:
    textured = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    face = Scene("s", textured, np.array([[20, 30, 90, 120]], np.float32), TEMPLATE[None])
    views = [view_aside(face, 60, 50, np.random.default_rng(seed)) for seed in range(20)]
    found = [view for view in views if view is not None]
    assert len(found) > 10
    for view in found:
        shown = np.array([[20, 30], [90, 120]]) @ view[:, :2].T + view[:, 2]
        assert visible(shown.ravel(), (0, 0, 60, 50)) < 0.05
        # No part of the tile lies beyond the scene.
        rim = np.linalg.solve(view[:, :2], (np.array([[0, 0], [60, 50]]) - view[:, 2]).T).T
        assert (rim > -0.5).all() and (rim < [300.5, 200.5]).all()


def test_batch_and_loss_are_a_function_of_the_seed(composer: CrowdComposer) -> None:
    component = DetectorTraining(composer)
    first, second = (component.batch(np.random.default_rng(3), 2, held_out=False) for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert first["picture"].shape == (2, 3, 128, 128) and first["label"].shape == (2, len(SQUARES))


def test_a_step_lowers_the_loss(composer: CrowdComposer) -> None:
    torch.manual_seed(0)
    component = DetectorTraining(composer)
    model, batch = component.build(), component.batch(np.random.default_rng(3), 4, held_out=False)
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=2e-3), []
    for _ in range(10):
        loss = component.loss(model, batch, torch.Generator())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    with torch.no_grad():
        scores = component.validate(model.eval(), batch, torch.Generator())
    assert set(scores) == {"recall", "precision", "held_out_loss"}


def test_damage_keeps_shape_and_range() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    for seed in range(6):
        out = damage(picture, np.random.default_rng(seed))
        assert out.shape == picture.shape and out.dtype == np.uint8
