from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from evaluation.clips import DAMAGES, afresh, still_clip, through_codec, write_lossless
from made_clips import FRAMES, SIDE, clip, error


def test_stronger_damage_is_worse_and_depends_on_its_seed_alone() -> None:
    clean = clip().frames
    errors = []
    for damage in DAMAGES.values():
        once, again = (through_codec(clean, damage, np.random.default_rng(1)) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        errors.append(error(once, clean))
    assert errors == sorted(errors) and errors[0] > 0.5


def test_a_still_face_is_degraded_anew_in_each_frame() -> None:
    still = still_clip(clip())
    assert np.ptp(still.frames, axis=0).max() == 0
    degraded = afresh(still.frames, np.random.default_rng(0), crop=SIDE)
    apart = [error(degraded[k], degraded[k + 1]) for k in range(FRAMES - 1)]
    assert min(apart) > 1
    assert error(degraded.mean(axis=0), still.frames[0]) < error(degraded[0], still.frames[0])


def test_a_clip_is_written_without_loss(tmp_path: Path) -> None:
    clean = clip()
    write_lossless(tmp_path / "clip.nut", clean.frames)
    read = [frame.rgb() for frame in read_frames(probe(tmp_path / "clip.nut"))]
    np.testing.assert_array_equal(read, clean.frames)


@pytest.mark.parametrize("strength", [*DAMAGES])
def test_damage_keeps_the_size(strength: str) -> None:
    clean = clip().frames
    assert through_codec(clean, DAMAGES[strength], np.random.default_rng(0)).shape == clean.shape
