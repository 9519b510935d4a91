from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from evaluated_faces import SIZE, KnowsTheTruth
from evaluation.faces import CleanFace, DegradedFace
from evaluation.measure import Evaluation, evaluate
from evaluation.methods import make_methods
from evaluation.report import markdown, write_csv
from evaluation.targets import check_targets, mean_of
from training.degradation import STRENGTHS


@pytest.fixture(scope="module")
def evaluation(clean: list[CleanFace], faces: dict[str, list[DegradedFace]]) -> Evaluation:
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    return evaluate(faces, make_methods(["degraded", "rm", "full"], restorer))


def test_tables_cover_strengths_octaves_and_groups(evaluation: Evaluation) -> None:
    text = markdown(evaluation)
    for part in ("| full 0.5 |", "\nsevere:", "female black", "Power of each octave"):
        assert part in text
    assert "perceptual distance |" not in text  # not measured, and left out
    assert "MISSED" not in text and "- met" not in text


def test_errors_are_shown_with_their_ratio_to_the_input(evaluation: Evaluation) -> None:
    before, after = (mean_of(evaluation, name, "chroma") for name in ("degraded", "rm"))
    gain = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, "degraded", "psnr")
    text = markdown(evaluation)
    assert f"{after:.2f} ({after / before:.2f})" in text
    assert f"({gain:+.2f})" in text


def test_a_missed_target_is_said(faces: dict[str, list[DegradedFace]]) -> None:
    worse = KnowsTheTruth(np.zeros((6, SIZE, SIZE, 3)))
    evaluation = evaluate({"mild": faces["mild"]}, make_methods(["degraded", "full"], worse))
    text = markdown(evaluation, check_targets(evaluation, "full 0.5"))
    assert "- MISSED: PSNR in the mean not below the input's" in text


def test_the_csv_has_a_row_for_every_method_strength_and_face(
    evaluation: Evaluation, clean: list[CleanFace], tmp_path: Path
) -> None:
    write_csv(evaluation, tmp_path / "results.csv")
    with open(tmp_path / "results.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 3 * 3 * len(clean)
    assert {row["strength"] for row in rows} == set(STRENGTHS)
    assert [float(rows[0][f"octave_{k}"]) for k in (1, 2)] == list(evaluation.measurements[0].octaves)
