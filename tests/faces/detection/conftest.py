"""What tests of detectors share."""

import numpy as np
import pytest

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.faces.landmarks import Landmarks, face_square

TRUTH = np.array(PHOTOGRAPH_LANDMARKS)


class Knowing:
    """A locator that knows the photograph's one face, at a scale."""

    def __init__(self, scale: float = 1.0) -> None:
        self.truth = ((TRUTH + 0.5) * scale - 0.5).astype(np.float32)
        self.asked = 0

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        self.asked += len(boxes)
        face = face_square(self.truth.astype(np.float64))
        sides = boxes[:, 2] - boxes[:, 0]
        apart = np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2 - face.centre).T) / face.side
        # What the landmark network was trained to cope with: a box off by 15 % of its side, wrong in size by a third.
        near = (apart < 0.15) & (np.abs(np.log(sides / face.side)) < 0.33)
        points = np.repeat(self.truth[None], len(boxes), 0)
        return Landmarks(points, np.ones((len(boxes), 5), np.float32), np.where(near, 0.9, 0.1).astype(np.float32))


@pytest.fixture
def knowing() -> Knowing:
    return Knowing()
