"""A detector whose proposals the landmark network confirms."""

from __future__ import annotations

import numpy as np

from dynface_video.faces.detection.boxes import distinct
from dynface_video.faces.detection.detector import Detection, FaceDetector, FaceLocator
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks

PRIOR_LOG_ODDS = 4.0
"""Both networks learned from as many faces as backgrounds; in a video most places are background. Chosen on the clips
of the evaluation (model card)."""
LARGEST_LOG_ODDS = 9.0


class ConfirmedDetector:
    """Proposals of a detector with high recall, which the landmark network locates and judges.

    The two judge by different pictures of the face, so their log odds add up.

    Args:
        proposer: finds faces and what resembles them.
        locator: the landmark network.
        minimum_score: of both together, in [0, 1].
    """

    def __init__(self, proposer: FaceDetector, locator: FaceLocator, *, minimum_score: float = 0.5) -> None:
        self._proposer, self._locator, self._minimum_score = proposer, locator, minimum_score

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB that both networks believe in, no face twice."""
        proposed = self._proposer.detect(picture)
        if not proposed:
            return []
        found = self._locator.locate(picture, np.stack([face.box for face in proposed]))
        scores = joint_score(np.array([face.score for face in proposed]), found.score)
        return distinct(_believed(found, scores, self._minimum_score))


def joint_score(score: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Probability in [0, 1] given two independent ones: their log odds added, less those of chance."""
    odds = [np.log(np.clip(s, 1e-9, 1.0)) - np.log(np.clip(1.0 - s, 1e-9, 1.0)) for s in (score, other)]
    joint = sum(np.clip(o, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS) for o in odds) - PRIOR_LOG_ODDS
    return np.asarray(1 / (1 + np.exp(-joint)))


def _believed(found: Landmarks, scores: np.ndarray, minimum_score: float) -> list[Detection]:
    return [
        Detection(box_from_landmarks(points), points, std, float(score))
        for points, std, score in zip(found.points, found.std, scores, strict=True)
        if score >= minimum_score
    ]
