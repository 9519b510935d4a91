from __future__ import annotations

import numpy as np
import pytest

from dynface_video.errors import InputError
from evaluated_faces import KnowsTheTruth
from evaluation.faces import CleanFace, DegradedFace
from evaluation.measure import evaluate
from evaluation.methods import Variants, make_methods
from evaluation.report import best_classical
from evaluation.targets import mean_of


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


def test_the_product_is_measured_at_each_strength_with_the_stages_asked_for() -> None:
    variants = Variants(strengths=[0.4, 1.0], device="cpu", largest_stage=256)
    methods = make_methods(["product"], KnowsTheTruth(np.zeros((1, 64, 64, 3))), variants)
    assert [method.name for method in methods] == ["product 0.4", "product 1"]
    assert {(method.device, method.largest_stage) for method in methods} == {("cpu", 256)}  # type: ignore[attr-defined]
