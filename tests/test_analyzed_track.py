"""A track and its levels have to agree in length."""

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
