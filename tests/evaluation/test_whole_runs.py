"""Tables of whole restorations, and the clips that they are made with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.errors import InputError
from dynface_video.media.output.clip import write_clip
from evaluation import whole_runs
from evaluation.process_cost import ProcessCost
from evaluation.whole_runs import (
    Comparison,
    LengthCosts,
    PlainCosts,
    VersionCosts,
    compare_versions,
    cost_by_length,
    cost_without_faces,
    lengths_table,
    plain_table,
    versions_table,
)

MIB = 1 << 20


def test_versions_are_compared_round_by_round() -> None:
    def costs(start: float, *each: float, cpu: float) -> VersionCosts:
        once, often = (
            tuple(ProcessCost(start + frames * s, cpu * (start + frames * s), MIB) for s in each) for frames in (10, 40)
        )
        return VersionCosts(once, often)

    found = Comparison(costs(5.0, 0.2, 0.3, 0.9, cpu=1.0), costs(2.0, 0.1, 0.1, 0.3, cpu=2.0), 10)
    table = versions_table(found)
    assert "| before | 8.0 | 300 | 300 | 1 |" in table and "| after | 3.0 | 100 | 200 | 1 |" in table
    assert "10 frames, 3 rounds: 3.00 times the frames a second by the clock, 1.50 times by processor" in table


def test_versions_restore_the_same_clips_in_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dynface_video").mkdir()
    (tmp_path / "dynface_video" / "__init__.py").touch()
    pictures = (np.full((48, 64, 3), 40 * k, np.uint8) for k in range(3))
    write_clip(tmp_path / "clip.mp4", ((Fraction(k, 25), picture) for k, picture in enumerate(pictures)), Fraction(25))
    seen = lengths_of(monkeypatch)
    found = compare_versions(tmp_path / "clip.mp4", tmp_path, rounds=2)
    assert [frames for frames, _ in seen] == [3, 3, 12, 12] * 2
    assert found.frames == 3 and [cost.seconds for cost in found.before.often] == [12.0, 12.0]
    assert found.after.frame_costs(3)[0].seconds == 1.0


def test_another_version_is_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkout"):
        compare_versions(tmp_path / "clip.mp4", tmp_path, rounds=1)


def test_time_and_memory_are_compared_by_length() -> None:
    costs = tuple(ProcessCost(5.0 + 0.1 * frames, 1.0, (100 + k) * MIB) for k, frames in enumerate((10, 40, 160)))
    table = lengths_table(LengthCosts(10, costs))
    assert "| 10 | 6.0 | - | 100 | 1.00 |" in table
    assert "| 160 | 21.0 | 100.0 | 102 | 1.02 |" in table


def test_the_start_is_taken_out_of_clips_without_faces() -> None:
    table = plain_table(PlainCosts(100, ProcessCost(3.0, 6.0, 0), ProcessCost(2.0, 2.0, 0)))
    assert "| restore, both passes | 1.50 | 30.0 | 3.00 |" in table


def lengths_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Sequence[str]]]:
    """Clips are counted instead of restored."""
    seen: list[tuple[int, Sequence[str]]] = []

    def count(video: Path, folder: Path, *, checkout: Path | None = None, options: Sequence[str] = ()) -> ProcessCost:
        with av.open(str(video)) as container:
            seen.append((sum(1 for _ in container.decode(video=0)), options))
        return ProcessCost(float(seen[-1][0]), 1.0, MIB)

    monkeypatch.setattr(whole_runs, "restore_cost", count)
    return seen


def test_longer_clips_are_as_many_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = lengths_of(monkeypatch)
    found = cost_by_length(2)
    assert [frames for frames, _ in seen] == [2, 8, 32] and all("--config" in options for _, options in seen)
    assert [cost.seconds for cost in found.costs] == [2.0, 8.0, 32.0]


def test_ffmpeg_gets_the_encoder_of_the_restoration(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the program ffmpeg")
    seen = lengths_of(monkeypatch)
    monkeypatch.setattr(whole_runs, "PLAIN_SIZE", (64, 48))
    found = cost_without_faces(2, rounds=2)
    assert [frames for frames, _ in seen] == [2, 8, 2, 8] and found.frames == 6
    assert found.ours.seconds == 6.0 and found.ffmpeg.memory > 0


def test_without_ffmpeg_the_comparison_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="which is not here"):
        cost_without_faces(2)
