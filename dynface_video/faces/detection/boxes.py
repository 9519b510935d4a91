"""Overlap of boxes and non-maximum suppression. Boxes are (x0, y0, x1, y1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynface_video.faces.detection.detector import Detection

SAME_FACE_OVERLAP = 0.4
NESTED_SHARE = 0.8
"""Of a box that lies in another: an eye does, a face half behind another does not."""


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with others (M, 4), (N, M) in [0, 1]; 0 for two empty boxes."""
    first, second = (np.asarray(b, np.float64).reshape(-1, 4) for b in (boxes, others))
    sides = np.minimum(first[:, None, 2:], second[:, 2:]) - np.maximum(first[:, None, :2], second[:, :2])
    shared = np.maximum(sides, 0).prod(axis=2)
    areas, other_areas = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (first, second))
    union = areas[:, None] + other_areas - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union != 0))


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Non-maximum suppression, as torchvision's `nms`, whose import takes nearly as long as that of torch.

    Args:
        boxes: (N, 4).
        scores: (N,).
        overlap: intersection over union above which the box with the lower score is dropped.

    Returns:
        Positions of the boxes to keep, highest score first, (K,) int64.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores, np.float64).reshape(-1), kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[~(overlaps(boxes[best], boxes[order])[0] > overlap)]
    return np.array(kept, np.int64)


def distinct(detections: Sequence[Detection], overlap: float = SAME_FACE_OVERLAP) -> list[Detection]:
    """Drop the less certain of detections that overlap by more than a share or lie in one another; best first."""
    boxes = np.array([detection.box for detection in detections]).reshape(-1, 4)
    kept: list[int] = []
    for i in suppress(boxes, np.array([detection.score for detection in detections]), overlap).tolist():
        if not any(lies_in(boxes[i], boxes[j]) or lies_in(boxes[j], boxes[i]) for j in kept):
            kept.append(i)
    return [detections[i] for i in kept]


def lies_in(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether nearly all of a box (4,) lies in another that is no smaller: an eye is not a face of its own."""
    area = np.prod(box[2:] - box[:2])
    shared = np.prod(np.maximum(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0))
    return bool(area <= np.prod(other[2:] - other[:2]) and shared >= NESTED_SHARE * area)
