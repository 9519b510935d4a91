"""The benchmark of a GPU runs as a whole on a CPU, at sizes that say nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.device.material import SPREAD, drawn_face, spread_levels
from evaluation.device.report import Clock, Report, run_sections
from evaluation.device.timing import covered, observe, seconds_a_call
from evaluation.loops import WAYS

CPU = torch.device("cpu")


def test_a_dry_run_without_av_and_ray_fills_every_table(tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(av=None, ray=None); import benchmark; sys.exit(benchmark.main())"
    scripts = Path(__file__).parents[2] / "scripts"
    options = ["--gpu", "--device", "cpu", "--tiny", "--threads", "1", "--seconds", "600", "--out", str(tmp_path)]
    paths = os.pathsep.join([str(scripts), str(scripts.parent)])
    subprocess.run([sys.executable, "-c", code, *options], env={**os.environ, "PYTHONPATH": paths}, check=True)
    figures = json.loads((tmp_path / "report.json").read_text())
    tables = {name: rows for name, rows in figures.items() if isinstance(rows, list)}
    assert len(tables) == 11
    assert all(tables.values())
    assert all(row["largest"] == 0 for row in tables["parts, CPU against device"])
    same = [row for row in tables["faces, CPU against device"] if row["arithmetic"] == "float32"]
    assert all(row["largest, of 255"] == 0 for row in same)
    assert [row["way"] for row in tables["loops"]] == 2 * list(WAYS)
    assert any((tmp_path / "profiles").iterdir())


def test_a_section_that_fails_leaves_its_traceback_and_the_next_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(report: Report, clock: Clock) -> None:
        report.open_table("half", ["a"])([1.0])
        raise RuntimeError("out of slots")

    def works(report: Report, clock: Clock) -> None:
        report.table("whole", ["b"], [[None], [0.5]])

    assert run_sections(Report(tmp_path), [("one", 1, fails), ("two", 1, works)], 60) == 1
    text = (tmp_path / "report.md").read_text()
    assert "RuntimeError: out of slots" in text
    assert text.index("out of slots") < text.index("| 0.5 |")
    assert json.loads((tmp_path / "report.json").read_text())["half"] == [{"a": 1.0}]
    assert "| 0.5 |" in capsys.readouterr().out


def test_no_section_begins_when_the_time_is_over(tmp_path: Path) -> None:
    def late(report: Report, clock: Clock) -> None:
        raise AssertionError

    assert run_sections(Report(tmp_path), [("late", 1, late)], 0) == 0
    assert "Not begun" in (tmp_path / "report.md").read_text()


def test_what_a_section_leaves_is_the_later_ones(tmp_path: Path) -> None:
    given: list[float] = []
    sections = [
        (name, share, lambda report, clock: given.append(clock.seconds)) for name, share in (("a", 1), ("b", 3))
    ]
    run_sections(Report(tmp_path), sections, 40)
    assert given == pytest.approx([10, 40], abs=0.5)


def test_overlapping_kernels_count_once() -> None:
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.7)]) == 4
    assert covered([]) == 0


def test_a_call_is_timed_and_observed(tmp_path: Path) -> None:
    a = torch.ones(64, 64)
    assert 0 < seconds_a_call(lambda: a @ a, CPU, window=0.001) < 1
    activity = observe(lambda: a @ a, CPU, tmp_path / "profile.txt")
    assert activity.busy is None
    assert activity.share_of(1.0) is None
    assert "aten::mm" in (tmp_path / "profile.txt").read_text()


def test_levels_have_the_quantiles_of_the_evaluation_faces() -> None:
    levels = 128 * spread_levels(40)
    assert np.median(levels) == pytest.approx(np.median(SPREAD), abs=0.05)
    assert len(set(levels)) > 30


def test_drawn_faces_differ_and_stay_in_range() -> None:
    one, other = drawn_face(64, 0), drawn_face(64, 1)
    assert one.shape == (64, 64, 3) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1
    assert np.abs(one - other).mean() > 0.02
