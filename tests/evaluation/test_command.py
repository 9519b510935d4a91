from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from evaluation.command import evaluate as evaluate_command


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(evaluate_command)
    runner = CliRunner()
    nothing = [str(tmp_path / "nothing"), "-o", str(tmp_path / "out"), "--methods", "degraded"]
    for arguments, complaint in (
        (nothing, "does not exist"),
        ([*nothing, "--strength", "much"], "--strength"),
        ([*nothing, "--held-out", "modern_512"], "modern_512"),
    ):
        done = runner.invoke(app, arguments)
        assert done.exit_code == 2 and complaint in done.output
    assert not (tmp_path / "out").exists()
