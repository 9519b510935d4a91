"""Usage errors that a file name beginning with a dash has caused."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dynface_video.cli.main import main


@pytest.mark.parametrize(("name", "reason"), [("-clip.mp4", "No such option"), ("-old.mp4", "Missing argument")])
def test_a_file_name_that_begins_with_a_dash_gets_a_hint(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    without = CliRunner().invoke(main, ["restore", name, "-o", "out.mp4"])
    (tmp_path / name).touch()
    told = CliRunner().invoke(main, ["restore", name, "-o", "out.mp4"])
    assert without.exit_code == told.exit_code == 2
    assert reason in without.stderr and "dash" not in without.stderr
    assert reason in told.stderr and f"write ./{name}" in " ".join(told.stderr.split())


def test_a_file_after_the_end_of_the_options_gets_no_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-clip.mp4").touch()
    told = CliRunner().invoke(main, ["restore", "-o", "out.mp4", "--nonsense", "--", "-clip.mp4"])
    assert told.exit_code == 2 and "dash" not in told.stderr
