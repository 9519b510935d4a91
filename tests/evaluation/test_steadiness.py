"""Clips are cut, degraded and reported as the evaluation of agreeing frames says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dynface_video.config import load_preset
from dynface_video.faces.align import template
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from evaluation.clips import DAMAGES, CleanClip, afresh, still_clip, through_codec, write_lossless
from evaluation.steadiness import ALL, ALONE, FRESH, METHODS, PARTS, RM, Row, settings_of
from evaluation.video_report import markdown, promises, side_by_side

FRAMES, SIDE = 5, 96


def clip() -> CleanClip:
    noise = np.random.default_rng(0).standard_normal((SIDE + FRAMES, SIDE + FRAMES, 3)).astype(np.float32)
    picture = np.clip(128 + 300 * cv2.GaussianBlur(noise, (0, 0), 2), 0, 255).astype(np.uint8)
    frames = np.stack([picture[k : k + SIDE, k : k + SIDE] for k in range(FRAMES)])
    return CleanClip("made", frames, np.stack([template(SIDE) - k for k in range(FRAMES)]))


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


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


def test_every_method_turns_on_its_own_parts_only() -> None:
    preset = load_preset("mini")
    assert settings_of(ALL, preset) == preset
    off = settings_of(ALONE, preset)
    assert off.detection.landmark_smoothing == off.restoration.level_smoothing == off.restoration.step_hysteresis == 0
    assert off.restoration.window_radius == off.restoration.temporal_radius == off.restoration.noise_correlation == 0
    for part, changes in PARTS.items():
        alone = settings_of(part, preset)
        for section, names in changes.items():
            for name in names:
                kept = getattr(getattr(preset, section), name)
                assert getattr(getattr(alone, section), name) == kept != getattr(getattr(off, section), name)
    single, windows = (settings_of(method, preset).restoration for method in RM)
    assert single.strength == windows.strength == 0 and single.window_radius == 0 != windows.window_radius


def row(method: str, strength: str, **values: float) -> Row:
    common = Row("made", strength, method, psnr=30.0, spectrum=0.3, flow_error=2.0, landmarks=1.0)
    return replace(common, **values)


def test_promises_are_held_against_the_means() -> None:
    rows = [
        row("clean", "medium"),
        row("input", "medium", landmarks=2.0),
        row(ALONE, "medium", psnr=29.0),
        row(ALL, "medium", flow_error=2.5),
        row("input", FRESH, flicker=6.0),
        row(ALONE, FRESH, flicker=3.0),
        row(ALL, FRESH, flicker=1.5, landmarks=0.6),
        *(row(method, "medium", psnr=psnr) for method, psnr in zip(RM, (30.0, 30.6), strict=True)),
    ]
    kept = [target.met for target in promises(rows)]
    assert kept == [False, True, True, True, True, False, True]
    table = markdown(rows)
    assert "MISSED: medium: error along the flow is at most 1.1 of the clean clips': 1.25" in table
    assert "RM gains 0.5 dB by its window: +0.60 dB" in table
    assert all(method in table for method in (ALONE, ALL, *RM)) and set(RM) < set(METHODS)


def test_versions_stand_beside_each_other_in_every_frame() -> None:
    clean = clip().frames
    frames = list(side_by_side({"clean": clean, "input": 255 - clean}, ["clean", "input"]))
    assert len(frames) == FRAMES and frames[0].shape == (2 * SIDE, 4 * SIDE, 3)
    assert error(frames[0][40:, : 2 * SIDE], 255 - frames[0][40:, 2 * SIDE :]) < 3


@pytest.mark.parametrize("strength", [*DAMAGES])
def test_damage_keeps_the_size(strength: str) -> None:
    clean = clip().frames
    assert through_codec(clean, DAMAGES[strength], np.random.default_rng(0)).shape == clean.shape
