"""Where a face will be in another frame, and which of the faces found is which of those expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.tracking.appearance import difference
from dynface_video.tracking.observation import face_side, face_sides

DAMPING = 0.95
NEW_SHARE = 0.6
LARGEST_GROWTH_RATE = 0.1
SIZE_WEIGHT = 0.5
OVERLAP_WEIGHT = 0.3
APPEARANCE_WEIGHT = 0.3
LARGEST_SIZE_CHANGE = 0.6
LARGEST_DIFFERENCE = 0.9
"""Appearances further apart are of two people, or of a face and the back of a head."""
SAME_FACE_REACH = 0.4
NO_MATCH = 1e6


@dataclass
class Motion:
    """Steady movement and growth of a face, forwards or backwards in time.

    frame, points: where it was last seen, (5, 2); velocity: (2,) pixels a frame; growth: of the logarithm of its size a
    frame
    """

    frame: int
    points: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    growth: float = 0.0
    updates: int = 0

    def predict(self, frame: int) -> np.ndarray:
        """The points expected in a frame, (5, 2) float64.

        Movement dies down: a face lost for long has often stopped or turned.
        """
        elapsed = abs(frame - self.frame)
        steps = float(np.sign(frame - self.frame)) * (1 - DAMPING**elapsed) / (1 - DAMPING)
        centre = self.points.mean(axis=0)
        zoom = np.exp(self.growth * np.clip(steps, -4, 4))
        return np.asarray(centre + self.velocity * steps + zoom * (self.points - centre))

    def update(self, frame: int, points: np.ndarray) -> None:
        """Take note of where the face was seen."""
        elapsed = frame - self.frame
        points = np.asarray(points, np.float64)
        if elapsed != 0:
            share = 1.0 if self.updates == 0 else NEW_SHARE
            velocity = (points.mean(axis=0) - self.points.mean(axis=0)) / elapsed
            growth = log_size_ratio(points, self.points) / elapsed
            self.velocity = share * velocity + (1 - share) * self.velocity
            # The size is the noisiest of what is measured, and a wrong growth compounds.
            growth = float(np.clip(growth, -LARGEST_GROWTH_RATE, LARGEST_GROWTH_RATE))
            self.growth = 0.3 * growth + 0.7 * self.growth
        self.frame, self.points = frame, points
        self.updates += 1


@dataclass(frozen=True)
class Expected:
    """A face that is looked for among those found. reach: how far from there it may be, in sides of the face."""

    points: np.ndarray
    appearance: np.ndarray | None
    reach: float


@dataclass(frozen=True)
class Found:
    """A face that was found."""

    points: np.ndarray
    appearance: np.ndarray | None


def match_faces(expected: Sequence[Expected], found: Sequence[Found]) -> list[tuple[int, int]]:
    """The assignment of least cost (Kuhn-Munkres) of faces found to faces expected: pairs of their positions."""
    if not expected or not found:
        return []
    return assign(matching_costs(expected, found))


def assign(costs: np.ndarray) -> list[tuple[int, int]]:
    """Rows to columns of (N, M) costs, as many as can be at least cost: pairs; infinite costs are never paired."""
    if costs.size == 0:
        return []
    rows, columns = linear_sum_assignment(np.where(np.isfinite(costs), costs, NO_MATCH))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if np.isfinite(costs[i, j])]


def matching_costs(expected: Sequence[Expected], found: Sequence[Found]) -> np.ndarray:
    """Costs (N, M) of each face found being each expected, by distance, size, overlap and appearance.

    They are infinite out of reach, and where the sizes or appearances differ too much.
    """
    points, others = (np.stack([np.asarray(face.points, np.float64) for face in faces]) for faces in (expected, found))
    sides, other_sides = np.maximum(face_sides(points), 1.0), np.maximum(face_sides(others), 1.0)
    apart = np.sqrt(((points[:, None] - others[None]) ** 2).sum(axis=3).mean(axis=2)) / sides[:, None]
    growth = np.abs(np.log(other_sides[None] / sides[:, None]))
    boxes, other_boxes = (np.stack([box_from_landmarks(p) for p in faces]) for faces in (points, others))
    unlike = np.array([[_unlike(e.appearance, f.appearance) for f in found] for e in expected])
    costs = apart + SIZE_WEIGHT * growth + OVERLAP_WEIGHT * (1 - overlaps(boxes, other_boxes))
    reach = np.array([face.reach for face in expected])
    possible = (apart <= reach[:, None]) & (growth <= LARGEST_SIZE_CHANGE) & (unlike <= LARGEST_DIFFERENCE)
    return np.where(possible, costs + APPEARANCE_WEIGHT * unlike, np.inf)


def _unlike(a: np.ndarray | None, b: np.ndarray | None) -> float:
    return 0.0 if a is None or b is None else difference(a, b)


def step_apart(points: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Root mean square distance of five points (5, 2) from five others, in sides of the face, and the change of size.

    The change is the absolute logarithm of the ratio of the sizes.
    """
    distance = float(np.sqrt(((points - others) ** 2).sum(axis=1).mean()))
    return distance / max(face_side(points), 1.0), abs(log_size_ratio(others, points))


def is_among(points: np.ndarray, others: Sequence[np.ndarray], reach: float = SAME_FACE_REACH) -> bool:
    """Whether five points (5, 2) lie on one of the faces that others, (5, 2) each, lie on.

    They do when the centres are closer than a share of the smaller face's side.
    """
    if not others:
        return False
    faces = np.stack([points, *others]).astype(np.float64)
    centres, sides = faces.mean(axis=1), face_sides(faces)
    distances = np.hypot(*(centres[1:] - centres[0]).T)
    return bool((distances < reach * np.maximum(np.minimum(sides[1:], sides[0]), 1.0)).any())


def log_size_ratio(points: np.ndarray, others: np.ndarray) -> float:
    """Natural logarithm of the size of a face over that of another, from five points each."""
    return float(np.log(max(face_side(points), 1.0) / max(face_side(others), 1.0)))
