from __future__ import annotations

import numpy as np
import pytest

from dynface_video.faces.align import template
from evaluated_faces import picture
from evaluation.clips import CleanClip
from evaluation.film_damage import UNDER, DamagedClip, damage_clip, damage_errors, face_region, markdown

SIDE, COUNT = 128, 6


@pytest.fixture(scope="module")
def clip() -> CleanClip:
    frame = np.rint((0.25 + 0.5 * picture(0, SIDE)) * 255).astype(np.uint8)
    return CleanClip("made", np.repeat(frame[None], COUNT, axis=0), np.repeat(template(SIDE)[None], COUNT, axis=0))


@pytest.fixture(scope="module")
def damaged(clip: CleanClip) -> DamagedClip:
    return damage_clip(clip.frames, np.random.default_rng(1))


def test_frames_change_only_where_something_covers_them(clip: CleanClip, damaged: DamagedClip) -> None:
    changed = (damaged.frames != clip.frames).any(axis=3)
    assert not changed[damaged.opacity == 0].any()
    assert changed[damaged.opacity > 0.5].mean() > 0.8


def test_some_damage_stays_and_some_belongs_to_a_frame(damaged: DamagedClip) -> None:
    assert (damaged.opacity.max(axis=(1, 2)) > UNDER).all()
    columns = (damaged.opacity > UNDER).mean(axis=1)
    lasting = columns.min(axis=0).max()
    assert lasting > 0.1  # a line that all frames share, but for its jitter
    assert np.ptp((damaged.opacity > UNDER).sum(axis=(1, 2))) > 0.002 * SIDE**2


def test_a_perfect_restoration_leaves_no_error(clip: CleanClip, damaged: DamagedClip) -> None:
    row = damage_errors(clip, damaged, damaged.frames, clip.frames)
    assert row.damaged_restored == row.clear_restored == row.clear_input == 0 < row.damaged_input
    text = markdown([row])
    assert "MISSED" not in text and "| made |" in text


def test_one_that_leaves_the_damage_and_smears_the_rest_misses_both(clip: CleanClip, damaged: DamagedClip) -> None:
    smeared = np.clip(damaged.frames.astype(int) + 9, 0, 255).astype(np.uint8)
    row = damage_errors(clip, damaged, damaged.frames, smeared)
    assert row.ratio > 0.8
    assert row.clear_restored == pytest.approx(9, abs=0.5)
    assert markdown([row]).count("MISSED") == 2


def test_only_the_face_counts(clip: CleanClip, damaged: DamagedClip) -> None:
    region = face_region(clip.landmarks[0], SIDE)
    assert region[SIDE // 2, SIDE // 2] and not region[0].any() and not region[:, 0].any()
    elsewhere = np.where(region[None, :, :, None], clip.frames, 0).astype(np.uint8)
    assert damage_errors(clip, damaged, damaged.frames, elsewhere).clear_restored == 0
