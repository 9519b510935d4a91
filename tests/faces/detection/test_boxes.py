from dataclasses import replace

import numpy as np
import torch

from dynface_video.faces.detection.boxes import distinct, lies_in, overlaps, suppress
from dynface_video.faces.detection.detector import Detection


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


def test_a_face_half_behind_another_stays_a_face() -> None:
    front, behind = np.array([0.0, 0, 100, 100]), np.array([80.0, 20, 130, 70])
    assert not lies_in(behind, front)
    assert lies_in(behind - [35, 0, 35, 0], front)
    assert not lies_in(front, behind)


def test_overlap() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(overlaps(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    assert overlaps(np.zeros((0, 4)), boxes).shape == (0, 3)
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_suppression_keeps_the_best_of_each_face() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40.0]])
    assert suppress(boxes, np.array([0.6, 0.9, 0.7]), 0.4).tolist() == [1, 2]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.4).tolist() == []


def test_overlap_and_suppression_are_torchvisions() -> None:
    from torchvision.ops import box_iou, nms

    rng = np.random.default_rng(0)
    low = rng.uniform(0, 100, (120, 2))
    boxes, scores = np.concatenate([low, low + rng.uniform(5, 60, (120, 2))], axis=1), rng.uniform(0, 1, 120)
    scores[:60] = scores[0]  # of boxes with one score the first stays
    both = torch.from_numpy(boxes), torch.from_numpy(scores)
    np.testing.assert_allclose(overlaps(boxes, boxes[:7]), box_iou(both[0], both[0][:7]).numpy(), atol=1e-12)
    for overlap in (0.1, 0.4, 0.7):
        assert suppress(boxes, scores, overlap).tolist() == nms(*both, overlap).tolist()
