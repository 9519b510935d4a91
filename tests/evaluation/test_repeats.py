"""Repeats restored once are found, counted and measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from dynface_video.cli.demo_clip import photograph
from dynface_video.media.output.clip import write_clip
from evaluation.repeats import RepeatRow, compare_tolerances, repeats_table


def test_a_still_clip_is_restored_once_where_that_is_allowed(tmp_path: Path) -> None:
    picture = np.ascontiguousarray(photograph()[:300, 80:380])
    write_clip(tmp_path / "still.mp4", ((Fraction(k, 25), picture) for k in range(3)), Fraction(25))
    every, once = compare_tolerances(tmp_path / "still.mp4", frames=3, tolerances=(None, 5))
    assert every.repeats == 0 and once.repeats > 0
    assert once.evaluations < every.evaluations or every.evaluations == 0
    assert abs(once.psnr - every.psnr) < 1


def test_the_table_has_a_row_for_each_tolerance() -> None:
    table = repeats_table([RepeatRow(None, 0, 30.0, 2.0, 72, 5.5), RepeatRow(2, 8, 29.9, 1.9, 56, 3.8)])
    assert "| null | 0 | 30.00 | 2.00 | 72 | 5.5 |" in table and "| 2 | 8 | 29.90 | 1.90 | 56 | 3.8 |" in table
