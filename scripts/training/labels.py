"""Steadier landmarks for aligned crops: the median of a teacher's answers for many views of each."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from training.data import NATIVE, FaceSet

CANVAS = 160
MIRRORED = [1, 0, 2, 4, 3]
FEWEST = 3


def steady_landmarks(faces: FaceSet, teacher: Path, cache: Path, *, views: int = 4) -> np.ndarray:
    """Landmarks (N, 5, 2) of the crops, each the median of YuNet's answers to `views` views and of the label at hand.

    One answer scatters by five percent of the eye distance; views differ in size, place and handedness, so that their
    errors do too. Where the teacher mostly sees no face the label stays. Kept in `cache`.
    """
    if not cache.exists():
        network = teacher_for(teacher)
        steady = np.stack([_steady(faces, index, network, views) for index in range(len(faces.images))])
        temporary = cache.with_name(f"{os.getpid()}.{cache.name}")
        np.save(temporary, steady.astype(np.float32))
        os.replace(temporary, cache)
    return np.load(cache)


def teacher_for(path: Path) -> cv2.FaceDetectorYN:
    """YuNet for one view."""
    return cv2.FaceDetectorYN.create(str(path), "", (CANVAS, CANVAS), 0.5, 0.3, 20)


def _steady(faces: FaceSet, index: int, teacher: cv2.FaceDetectorYN, views: int) -> np.ndarray:
    rng, label = np.random.default_rng((7, index)), faces.landmarks[index]
    answers = [_view(faces.images[index], teacher, mirrored=i % 2 == 1, rng=rng) for i in range(views)]
    near = [a for a in answers if a is not None and np.linalg.norm(a - label, axis=1).mean() < 0.12 * NATIVE]
    return np.median([*near, label], axis=0) if len(near) >= FEWEST else label


def _view(
    picture: np.ndarray, teacher: cv2.FaceDetectorYN, *, mirrored: bool, rng: np.random.Generator
) -> np.ndarray | None:
    scale = float(rng.uniform(0.42, 0.62))
    matrix = cv2.getRotationMatrix2D(((NATIVE - 1) / 2, (NATIVE - 1) / 2), float(rng.normal(0, 4)), scale)
    matrix[:, 2] = matrix[:, 2] + (CANVAS - NATIVE) / 2 + rng.uniform(-6, 6, 2)
    seen = cv2.warpAffine(cv2.GaussianBlur(picture, (0, 0), 0.35 / scale), matrix, (CANVAS, CANVAS))
    seen = seen[:, ::-1] if mirrored else seen
    _, found = teacher.detect(np.ascontiguousarray(seen[:, :, ::-1]))
    if found is None:
        return None
    points = found[int(np.argmax(found[:, 14])), 4:14].reshape(5, 2)
    if mirrored:
        points = points[MIRRORED] * [-1, 1] + [CANVAS - 1, 0]
    back = cv2.invertAffineTransform(matrix)
    return points @ back[:, :2].T + back[:, 2]
