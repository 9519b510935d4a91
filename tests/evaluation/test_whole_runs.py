"""Tables of whole restorations, and the clips that they are made with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from dynface_video.errors import InputError
from evaluation import whole_runs
from evaluation.process_cost import ProcessCost
from evaluation.whole_runs import (
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
    before = tuple(ProcessCost(seconds, 2 * seconds, 100 * MIB) for seconds in (6.0, 8.0, 30.0))
    after = tuple(ProcessCost(seconds, seconds, 50 * MIB) for seconds in (2.0, 4.0, 10.0))
    table = versions_table(VersionCosts(before, after, 24))
    assert "| before | 8.0 | 16.0 | 100 |" in table and "| after | 4.0 | 4.0 | 50 |" in table
    assert "24 frames, 3 rounds: 3.00 times as fast by the clock" in table and "6.00 times by processor" in table


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

    def count(video: Path, folder: Path, *, options: Sequence[str] = ()) -> ProcessCost:
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
    found = cost_without_faces(2)
    assert [frames for frames, _ in seen] == [2, 8] and found.frames == 6
    assert found.ours.seconds == 6.0 and found.ffmpeg.memory > 0


def test_without_ffmpeg_the_comparison_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="which is not here"):
        cost_without_faces(2)
