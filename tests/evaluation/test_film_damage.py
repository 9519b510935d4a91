from __future__ import annotations

import cv2
import numpy as np
import pytest

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.face_records import FaceKey
from dynface_video.faces.align import template
from dynface_video.faces.colour import LUMINANCE
from dynface_video.tracking.observation import FaceTrack
from dynface_video.video_pipeline import VideoPipeline, reach
from evaluated_faces import picture
from evaluation.clips import CleanClip
from evaluation.film_damage import (
    ALL,
    CLEAR,
    INPUT,
    KIND_NAMES,
    LASTING,
    REPAIRED,
    RESTORED,
    UNDER,
    DamagedClip,
    DamageError,
    damage_clip,
    damage_errors,
    face_region,
    markdown,
    undamaged_markdown,
    undamaged_row,
    without_networks,
)
from tracing_stages import POINTS, tracing

SIDE, COUNT = 128, 6


@pytest.fixture(scope="module")
def clip() -> CleanClip:
    frame = np.rint((0.25 + 0.5 * picture(0, SIDE)) * 255).astype(np.uint8)
    return CleanClip("made", np.repeat(frame[None], COUNT, axis=0), np.repeat(template(SIDE)[None], COUNT, axis=0))


@pytest.fixture(scope="module")
def damaged(clip: CleanClip) -> DamagedClip:
    return damage_clip(clip.frames, np.random.default_rng(1))


def versions(clip: CleanClip, damaged: DamagedClip, made: np.ndarray) -> dict[str, np.ndarray]:
    return {INPUT: damaged.frames, REPAIRED: made, RESTORED: made}


def row_of(rows: list[DamageError], kind: str) -> DamageError:
    return next(row for row in rows if row.kind == kind)


def test_frames_change_only_where_something_covers_them(clip: CleanClip, damaged: DamagedClip) -> None:
    changed = (damaged.frames != clip.frames).any(axis=3)
    assert not changed[damaged.covered == 0].any()
    assert changed[damaged.covered > 0.5].mean() > 0.8


def test_some_damage_stays_and_some_belongs_to_a_frame(damaged: DamagedClip) -> None:
    lasting = damaged.opacity[:, KIND_NAMES.index(LASTING)]
    assert (lasting.max(axis=(1, 2)) > UNDER).all()
    others = np.delete(damaged.opacity, KIND_NAMES.index(LASTING), axis=1).max(axis=(1, 2, 3))
    assert others.min() == 0 < others.max()


def test_a_perfect_restoration_leaves_no_error(clip: CleanClip, damaged: DamagedClip) -> None:
    rows = damage_errors(clip, damaged, versions(clip, damaged, clip.frames))
    every, clear = row_of(rows, ALL), row_of(rows, CLEAR)
    assert every.restored == clear.restored == clear.input == 0 < every.input
    assert sum(row.pixels for row in rows if row.kind in KIND_NAMES) == every.pixels
    text = markdown(rows)
    assert "MISSED" not in text and "| made |" in text and f"| {LASTING} |" in text


def test_one_that_leaves_the_damage_and_smears_the_rest_misses_both(clip: CleanClip, damaged: DamagedClip) -> None:
    smeared = np.clip(damaged.frames.astype(int) + 9, 0, 255).astype(np.uint8)
    rows = damage_errors(clip, damaged, versions(clip, damaged, smeared))
    every = row_of(rows, ALL)
    assert every.restored / every.input > 0.8
    assert row_of(rows, CLEAR).restored == pytest.approx(9, abs=0.5)
    assert markdown(rows).count("MISSED") == 4


def test_only_the_face_counts(clip: CleanClip, damaged: DamagedClip) -> None:
    region = face_region(clip.landmarks[0], SIDE)
    assert region[SIDE // 2, SIDE // 2] and not region[0].any() and not region[:, 0].any()
    elsewhere = np.where(region[None, :, :, None], clip.frames, 0).astype(np.uint8)
    assert row_of(damage_errors(clip, damaged, versions(clip, damaged, elsewhere)), CLEAR).restored == 0


def test_a_clip_without_damage_loses_what_is_changed(clip: CleanClip) -> None:
    seen, spoilt = clip.frames.copy(), clip.frames.copy()
    seen[0, :, :, 0] ^= 1
    spoilt[:, SIDE // 2] = 0
    row = undamaged_row(clip, seen, seen)
    assert row.kept == row.repaired > undamaged_row(clip, seen, spoilt).repaired + 10
    assert "| made |" in undamaged_markdown([row])


def test_a_pipeline_without_networks_gives_clean_faces_back() -> None:
    pipeline = without_networks(tracing(2, stages=2, temporal_weight=0.0))
    track = FaceTrack(0, 0, np.repeat(POINTS[None], 3, axis=0), np.ones(3, bool), np.ones(3, np.float32))
    analyzed = AnalyzedTrack(track, np.ones((1, 3)), np.ones((1, 3), np.int64), grey=False, noise=0)
    assert pipeline.stages[0].window_radius == 2 and reach(pipeline.stages) == 2
    video = VideoPipeline(pipeline, {0: analyzed}, seed=0)
    size = pipeline.resolution
    crops = [np.clip(cv2.resize(picture(at, size), (size, size)), 0.1, 0.9) for at in range(3)]
    for at, crop in enumerate(crops):
        video.add(FaceKey(0, at), [crop.astype(np.float32)])
    (made,) = video.restore([FaceKey(0, 1)])
    assert np.abs((made - crops[1]) @ LUMINANCE).mean() < 0.01
