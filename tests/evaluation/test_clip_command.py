"""The command line that the evaluations of clips share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from evaluation.clip_command import clip_parser, run_on_clips


def test_clips_default_to_the_clean_ones_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNFACE_DATA", str(tmp_path))
    (tmp_path / "videos").mkdir()
    for name in ("clean_b.mp4", "clean_a.mp4", "worn.mp4"):
        (tmp_path / "videos" / name).touch()
    seen = list[argparse.Namespace]()
    assert run_on_clips(clip_parser("Evaluate.", Path("runs/x")).parse_args([]), seen.append) == 0
    assert [clip.name for clip in seen[0].clips] == ["clean_a.mp4", "clean_b.mp4"]
    assert run_on_clips(clip_parser("Evaluate.", Path("runs/x")).parse_args(["mine.mp4"]), seen.append) == 0
    assert seen[1].clips == [Path("mine.mp4")] and seen[1].out == Path("runs/x")


def test_without_clips_the_error_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DYNFACE_DATA", str(tmp_path))
    seen = list[argparse.Namespace]()
    assert run_on_clips(clip_parser("Evaluate.", Path("runs/x")).parse_args([]), seen.append) == 2
    assert not seen and "DYNFACE_DATA" in capsys.readouterr().err
