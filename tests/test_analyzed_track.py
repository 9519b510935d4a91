"""A track and its levels agree in length, and faces are ranked by how well they are seen."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.tracking.observation import FaceTrack

TRACK = FaceTrack(7, 4, np.zeros((3, 5, 2), np.float32), np.ones(3, bool), np.ones(3, np.float32))


def test_a_face_goes_through_as_many_stages_as_it_has_levels() -> None:
    assert AnalyzedTrack(TRACK, np.zeros((2, 3)), np.zeros((2, 3), np.int64), grey=False).stage_count == 2


@pytest.mark.parametrize(("levels", "steps"), [((1, 4), (1, 3)), ((1, 3), (2, 3)), ((0, 3), (0, 3)), ((3,), (3,))])
def test_levels_of_another_shape_are_refused(levels: tuple[int, ...], steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="track 7 has 3 frames"):
        AnalyzedTrack(TRACK, np.zeros(levels), np.zeros(steps, np.int64), grey=False)


@pytest.mark.parametrize("worse", ["small", "doubtful", "blurred", "turned", "bridged", "faded"])
def test_a_face_is_seen_less_well_where_one_thing_is_worse(worse: str) -> None:
    face = np.array([[-9, -9], [9, -9], [0, 1], [-7, 10], [7, 10]], np.float32)
    points, observed, scores = np.stack([face, face]), np.ones(2, bool), np.ones(2, np.float32)
    shown, levels = np.ones(2, np.float32), np.full((1, 2), 0.01)
    if worse == "small":
        points[1] *= 0.8
    if worse == "turned":
        points[1, 2, 0] += 5
    observed[1], scores[1] = worse != "bridged", 0.6 if worse == "doubtful" else 1
    shown[1], levels[0, 1] = 0.5 if worse == "faded" else 1, 0.03 if worse == "blurred" else 0.01
    track = FaceTrack(1, 4, points, observed, scores, shown)
    seen = AnalyzedTrack(track, levels, np.zeros((1, 2), np.int64), grey=False).visibility(np.arange(2))
    assert seen[0] > seen[1] > 0
