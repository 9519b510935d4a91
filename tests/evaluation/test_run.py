from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dynface_video.errors import InputError
from evaluated_faces import KnowsTheTruth, picture
from evaluation.command import evaluate as evaluate_command
from evaluation.faces import CleanFace, DegradedFace
from evaluation.measure import evaluate
from evaluation.methods import Variants, make_methods
from evaluation.report import best_classical
from evaluation.targets import mean_of
from training.degradation import STRENGTHS


def test_an_evaluation_orders_the_methods_by_what_they_do(
    clean: list[CleanFace], faces: dict[str, list[DegradedFace]]
) -> None:
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    methods = make_methods(["degraded", "lanczos", "rm", "full"], restorer, Variants(strengths=[0.25, 0.5]))
    told: list[str] = []
    evaluation = evaluate(faces, methods, progress=told.append)

    assert evaluation.methods == ["degraded", "lanczos", "rm", "full 0.25", "full 0.5"]
    assert len(told) == 15
    order = [mean_of(evaluation, name, "psnr") for name in ("degraded", "rm", "full 0.5", "full 0.25")]
    assert order == sorted(order)
    assert mean_of(evaluation, "full 0.5", "evaluations") == 12
    assert mean_of(evaluation, "rm", "evaluations") == 0
    assert best_classical(evaluation) == "lanczos"


def test_unknown_methods_and_missing_models_are_refused() -> None:
    with pytest.raises(InputError, match="magic"):
        make_methods(["magic"], None)
    with pytest.raises(InputError, match="rm"):
        make_methods(["rm"], None)


def test_the_script_writes_table_sheet_and_rows(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "evaluate.py"
    source = tmp_path / "faces"
    source.mkdir()
    for i in range(2):
        cv2.imwrite(str(source / f"{i}.png"), np.rint(picture(i) * 255).astype(np.uint8))
    out = tmp_path / "out"
    command = [sys.executable, str(script), str(source), "-o", str(out), "--methods", "degraded,lanczos"]
    done = subprocess.run([*command, "--resolution", "32"], capture_output=True, text=True, check=True)
    assert (out / "table.md").read_text() in done.stdout
    assert "| lanczos |" in done.stdout
    for strength in STRENGTHS:
        assert cv2.imread(str(out / f"contact_{strength}.png")).shape == (20 + 2 * 32, 3 * 32, 3)
    assert (out / "results.csv").stat().st_size > 0


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
