"""Matching the faces found in a frame with those expected there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.tracking.appearance import difference
from dynface_video.tracking.observation import face_side, face_sides, log_size_ratio

SIZE_WEIGHT = 0.5
OVERLAP_WEIGHT = 0.3
APPEARANCE_WEIGHT = 0.3
LARGEST_SIZE_CHANGE = 0.6
LARGEST_DIFFERENCE = 0.9
"""Appearances further apart are of two people, or of a face and the back of a head."""
SAME_FACE_REACH = 0.4
NO_MATCH = 1e6


@dataclass(frozen=True)
class ExpectedFace:
    """A face to match: points (5, 2), appearance if known, and how far away it may be, in sides of the face."""

    points: np.ndarray
    appearance: np.ndarray | None
    reach: float


@dataclass(frozen=True)
class FoundFace:
    """A candidate for it: points (5, 2), and appearance if known."""

    points: np.ndarray
    appearance: np.ndarray | None


def match_faces(expected: Sequence[ExpectedFace], found: Sequence[FoundFace]) -> list[tuple[int, int]]:
    """Assign faces found to faces expected at least cost (Kuhn-Munkres): pairs of positions (expected, found)."""
    if not expected or not found:
        return []
    return assign(matching_costs(expected, found))


def assign(costs: np.ndarray) -> list[tuple[int, int]]:
    """Assign rows to columns of costs (N, M), as many as possible at least cost; infinite costs are never paired."""
    if costs.size == 0:
        return []
    finite = np.where(np.isfinite(costs), costs, NO_MATCH)
    if 1 in costs.shape:
        # For a single face scipy.optimize need not be imported, which takes half a second.
        rows, columns = (np.atleast_1d(place) for place in np.unravel_index(int(np.argmin(finite)), costs.shape))
    else:
        rows, columns = scipy.optimize.linear_sum_assignment(finite)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if np.isfinite(costs[i, j])]


def matching_costs(expected: Sequence[ExpectedFace], found: Sequence[FoundFace]) -> np.ndarray:
    """Costs (N, M) of matching each expected face with each found, by distance, size, overlap and appearance.

    A cost is infinite out of reach and where sizes or appearances differ too much.
    """
    points, others = (np.stack([np.asarray(face.points, np.float64) for face in faces]) for faces in (expected, found))
    sides, other_sides = np.maximum(face_sides(points), 1.0), np.maximum(face_sides(others), 1.0)
    apart = np.sqrt(((points[:, None] - others[None]) ** 2).sum(axis=3).mean(axis=2)) / sides[:, None]
    growth = np.abs(np.log(other_sides[None] / sides[:, None]))
    boxes, other_boxes = (np.stack([box_from_landmarks(p) for p in faces]) for faces in (points, others))
    unlike = np.array([[_appearance_difference(e.appearance, f.appearance) for f in found] for e in expected])
    costs = apart + SIZE_WEIGHT * growth + OVERLAP_WEIGHT * (1 - overlaps(boxes, other_boxes))
    reach = np.array([face.reach for face in expected])
    possible = (apart <= reach[:, None]) & (growth <= LARGEST_SIZE_CHANGE) & (unlike <= LARGEST_DIFFERENCE)
    return np.where(possible, costs + APPEARANCE_WEIGHT * unlike, np.inf)


def _appearance_difference(a: np.ndarray | None, b: np.ndarray | None) -> float:
    return 0.0 if a is None or b is None else difference(a, b)


def displacement(points: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """How far a face is from another place, both (5, 2).

    Returns:
        The root mean square distance of the points in sides of the face, and the absolute logarithm of the ratio of
        the sizes.
    """
    distance = float(np.sqrt(((points - others) ** 2).sum(axis=1).mean()))
    return distance / max(face_side(points), 1.0), abs(log_size_ratio(others, points))


def is_among(points: np.ndarray, others: Sequence[np.ndarray], reach: float = SAME_FACE_REACH) -> bool:
    """Whether a face (5, 2) is one of others, (5, 2) each: centres closer than `reach` sides of the smaller face."""
    if not others:
        return False
    faces = np.stack([points, *others]).astype(np.float64)
    centres, sides = faces.mean(axis=1), face_sides(faces)
    distances = np.hypot(*(centres[1:] - centres[0]).T)
    return bool((distances < reach * np.maximum(np.minimum(sides[1:], sides[0]), 1.0)).any())
