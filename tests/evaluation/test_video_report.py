from __future__ import annotations

from dataclasses import replace

from evaluation.steadiness import ALL, ALONE, FRESH, METHODS, RM, Row
from evaluation.video_report import markdown, promises, side_by_side
from made_clips import FRAMES, SIDE, clip, error


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
