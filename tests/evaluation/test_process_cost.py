"""What a command costs: its own time and memory, not that of others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dynface_video.errors import JobError
from evaluation.process_cost import ProcessCost, restore_cost, run_measured


def python(code: str, folder: Path, **environment: str) -> ProcessCost:
    return run_measured([sys.executable, "-S", "-c", code], folder, environment)


def test_memory_is_that_of_the_process_alone(tmp_path: Path) -> None:
    large = python("x = bytearray(200 << 20)", tmp_path)
    small = python("pass", tmp_path)
    assert large.memory > 200 << 20 and small.memory < 100 << 20
    assert 0 < small.cpu_seconds < 5 and small.seconds > 0


def test_times_are_subtracted() -> None:
    beyond = ProcessCost(5.0, 4.0, 300) - ProcessCost(2.0, 1.0, 200)
    assert (beyond.seconds, beyond.cpu_seconds, beyond.memory) == (3.0, 3.0, 300)


def test_a_command_that_fails_is_an_error_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"(?s)ended with 3: .*too bad"):
        python("import sys; print('too bad'); sys.exit(3)", tmp_path)


def test_a_checkout_is_run_by_its_own_command_line(tmp_path: Path) -> None:
    package = tmp_path / "old" / "dynface_video"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(
        "import pathlib, sys\ndef main():\n    pathlib.Path('seen').write_text(str(sys.argv))\n"
    )
    run = tmp_path / "run"
    run.mkdir()
    cost = restore_cost(tmp_path / "clip.mp4", run, checkout=tmp_path / "old", options=["--threads", "1"])
    assert cost.memory > 0
    seen = (run / "seen").read_text()
    assert "'restore'" in seen and seen.endswith("'cpu', '--threads', '1']")
