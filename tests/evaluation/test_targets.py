from __future__ import annotations

import numpy as np

from evaluated_faces import SIZE, KnowsTheTruth
from evaluation.faces import CleanFace, DegradedFace
from evaluation.measure import Evaluation, evaluate
from evaluation.methods import Variants, make_methods
from evaluation.targets import check_targets, dominates, mean_of, ratio_to_input


def evaluated(clean: np.ndarray, faces: dict[str, list[DegradedFace]], variants: Variants | None = None) -> Evaluation:
    methods = make_methods(["degraded", "rm", "full"], KnowsTheTruth(clean), variants or Variants())
    return evaluate(faces, methods)


def verdicts(evaluation: Evaluation, stages: int = 3) -> dict[str, bool]:
    return {target.text: target.met for target in check_targets(evaluation, "full 0.5", stages=stages)}


def test_a_restorer_that_knows_the_truth_meets_every_target(
    clean: list[CleanFace], faces: dict[str, list[DegradedFace]]
) -> None:
    found = verdicts(evaluated(np.stack([face.image for face in clean]), faces))
    # Chroma at two strengths, octaves and skin at three, PSNR, evaluations; networks were not measured.
    assert len(found) == 10 and all(found.values())


def test_a_restorer_that_paints_black_meets_none_but_that_of_cost(faces: dict[str, list[DegradedFace]]) -> None:
    found = verdicts(evaluated(np.zeros((6, SIZE, SIZE, 3)), faces))
    met = [text for text, met in found.items() if met]
    assert all("evaluations" in text or "skin" in text for text in met) and len(met) == 4


def test_evaluations_are_counted_against_the_stages(
    clean: list[CleanFace], faces: dict[str, list[DegradedFace]]
) -> None:
    evaluation = evaluated(np.stack([face.image for face in clean]), faces)
    for stages, enough in ((2, False), (3, True)):
        (met,) = (met for text, met in verdicts(evaluation, stages).items() if "evaluations" in text)
        assert met == enough  # the restorer spends 12


def test_a_method_that_was_not_measured_has_no_verdict(faces: dict[str, list[DegradedFace]]) -> None:
    evaluation = evaluate({"mild": faces["mild"]}, make_methods(["degraded"], None))
    assert check_targets(evaluation, "full 0.5") == []


def test_ratios_are_to_the_input_of_the_same_strength(
    clean: list[CleanFace], faces: dict[str, list[DegradedFace]]
) -> None:
    evaluation = evaluated(np.stack([face.image for face in clean]), faces)
    before, after = (mean_of(evaluation, name, "chroma", "severe") for name in ("degraded", "rm"))
    assert ratio_to_input(evaluation, "rm", "chroma", "severe") == after / before < 0.5
    assert ratio_to_input(evaluation, "degraded", "chroma", "severe") == 1


def test_a_rival_must_be_as_good_in_all_three(clean: list[CleanFace], faces: dict[str, list[DegradedFace]]) -> None:
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    methods = make_methods(["rm", "full"], restorer, Variants(fixed_steps=[100], scales=[0.5]))
    evaluation = evaluate(faces, methods)
    assert evaluation.methods == ["rm", "full 0.5", "step 100", "scale 0.5"]
    assert dominates(evaluation, "step 100", "full 0.5") and not dominates(evaluation, "full 0.5", "rm")
    missed = {target.text for target in check_targets(evaluation, "full 0.5") if not target.met}
    assert {"lies beyond every fixed starting step", "lies beyond every global guidance scale"} <= missed
