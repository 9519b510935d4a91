"""What restored faces have to reach at 512 pixels, and whether an evaluation reaches it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.measure import Evaluation
from evaluation.methods import is_scale_name, is_step_name

INPUT = "degraded"
"""Name of the method that returns the degraded face."""
PERCEPTUAL_RATIO = {"mild": 0.7, "medium": 0.5, "severe": 0.5}
IDENTITY_RATIO = {"mild": 1.0, "medium": 0.83, "severe": 0.83}
CHROMA_RATIO = {"medium": 0.7, "severe": 0.7}
FINEST_DECADES = 0.5
ROUGHNESS = 1.3
EVALUATIONS_A_STAGE = 4


@dataclass(frozen=True)
class Target:
    """One requirement: in words, what was measured, and whether it is met."""

    text: str
    value: str
    met: bool


def check_targets(evaluation: Evaluation, method: str, strongest: str | None = None, stages: int = 1) -> list[Target]:
    """The requirements that this evaluation can decide.

    Args:
        evaluation: Needs the method "degraded" for the requirements that are ratios to the input.
        method: The method that is judged.
        strongest: The same method at strength 1, whose skin is judged too.
        stages: Number of stages of the method, for the evaluations each may take.
    """
    if method not in evaluation.methods:
        return []
    found = [*_ratios(evaluation, method), *_absolutes(evaluation, method, stages)]
    if strongest in evaluation.methods and strongest != method:
        found += _roughness(evaluation, strongest)
    return [*found, *_rivals(evaluation, method)]


def mean_of(evaluation: Evaluation, method: str, column: str, strength: str | None = None) -> float:
    """Mean over the faces of one column of one method, at one strength or over all."""
    chosen = [m for m in evaluation.measurements if m.method == method and strength in (None, m.strength)]
    return sum(getattr(m, column) for m in chosen) / len(chosen) if chosen else math.nan


def ratio_to_input(evaluation: Evaluation, method: str, column: str, strength: str | None = None) -> float:
    """A method's mean of a column over that of the degraded input; nan where the input was not measured."""
    before = mean_of(evaluation, INPUT, column, strength)
    return mean_of(evaluation, method, column, strength) / before if before else math.nan


def dominates(evaluation: Evaluation, rival: str, method: str) -> bool:
    """Whether a rival is as good or better in PSNR, perceptual and identity distance, in as many evaluations."""

    def costs(name: str) -> list[float]:
        lower = [mean_of(evaluation, name, column) for column in ("perceptual", "identity", "evaluations")]
        return [-mean_of(evaluation, name, "psnr"), *(value for value in lower if not math.isnan(value))]

    return all(of_rival <= of_method for of_rival, of_method in zip(costs(rival), costs(method), strict=True))


def _ratios(evaluation: Evaluation, method: str) -> Iterator[Target]:
    limits = {
        "perceptual": ("perceptual distance", PERCEPTUAL_RATIO),
        "identity": ("identity distance", IDENTITY_RATIO),
        "chroma": ("chroma error", CHROMA_RATIO),
    }
    for column, (heading, by_strength) in limits.items():
        for strength, limit in by_strength.items():
            if strength not in evaluation.faces:
                continue
            ratio = ratio_to_input(evaluation, method, column, strength)
            if not math.isnan(ratio):
                yield Target(f"{strength}: {heading} at most {limit:g} of the input's", f"{ratio:.2f}", ratio <= limit)


def _absolutes(evaluation: Evaluation, method: str, stages: int) -> Iterator[Target]:
    for strength in evaluation.faces:
        off = mean_of(evaluation, method, "finest", strength)
        text = f"{strength}: finest two octaves off by at most {FINEST_DECADES:g} decades"
        yield Target(text, f"{off:.2f}", off <= FINEST_DECADES)
    yield from _roughness(evaluation, method)
    gain = mean_of(evaluation, method, "psnr") - mean_of(evaluation, INPUT, "psnr")
    if not math.isnan(gain):
        yield Target("PSNR in the mean not below the input's", f"{gain:+.2f} dB", gain >= 0)
    most = max(m.evaluations for m in evaluation.measurements if m.method == method)
    text = f"at most {EVALUATIONS_A_STAGE} evaluations of the prior in each of {stages} stages"
    yield Target(text, f"{most:.1f} in the worst batch", most <= EVALUATIONS_A_STAGE * stages)


def _roughness(evaluation: Evaluation, method: str) -> Iterator[Target]:
    for strength in evaluation.faces:
        rough = mean_of(evaluation, method, "roughness", strength)
        text = f"{strength}: skin of {method} at most {ROUGHNESS:g} times as rough as the clean face's"
        yield Target(text, f"{rough:.2f}", rough <= ROUGHNESS)


def _rivals(evaluation: Evaluation, method: str) -> Iterator[Target]:
    for kind, matches in (("fixed starting step", is_step_name), ("global guidance scale", is_scale_name)):
        rivals = [name for name in evaluation.methods if matches(name)]
        better = [name for name in rivals if dominates(evaluation, name, method)]
        if rivals:
            value = f"matched by {', '.join(better)}" if better else f"not matched by any of {len(rivals)}"
            yield Target(f"lies beyond every {kind}", value, not better)
