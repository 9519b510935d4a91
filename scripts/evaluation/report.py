"""An evaluation as CSV, as Markdown tables, and held against the project's targets."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.baselines import classical_baselines
from evaluation.calibration import LevelReadings, pooled
from evaluation.measure import Evaluation
from evaluation.methods import full_name, is_scale_name, is_step_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

COLUMNS = {
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "lpips": ("LPIPS", ".3f"),
    "identity": ("identity cosine", ".3f"),
    "spectrum": ("log-spectrum distance", ".3f"),
    "evaluations": ("evaluations a face", ".1f"),
    "seconds": ("seconds a face", ".3f"),
}
"""Heading and format of each column; one that was not measured is left out."""


@dataclass(frozen=True)
class Target:
    """One thing that the project promised: in words, what was measured, and whether it holds."""

    text: str
    value: str
    met: bool


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """One row for each method, strength and face."""
    write_rows(evaluation.measurements, path)


def write_rows(rows: Sequence[DataclassInstance], path: Path) -> None:
    """Dataclasses of one kind, at least one, as CSV."""
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, [field.name for field in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def markdown(evaluation: Evaluation, *, default_strength: float | None = None) -> str:
    """Tables of means: over all strengths, then for each strength, then for each group of people, then the targets."""
    strengths = list(evaluation.faces)
    count = len(evaluation.faces[strengths[0]])
    parts = [f"{count} faces, mean over {', '.join(strengths)}:\n\n{_table(evaluation)}"]
    for strength in strengths:
        chosen = {m: evaluation.settings[strength, m] for m in evaluation.methods if evaluation.settings[strength, m]}
        note = "; ".join(f"{method}: {setting}" for method, setting in chosen.items())
        table = _table(evaluation, strength)
        parts.append(f"{strength}{f' (chosen against the truth: {note})' if note else ''}:\n\n{table}")
    if any(m.group for m in evaluation.measurements):
        parts.append(f"PSNR / log-spectrum distance by group, mean over strengths:\n\n{_group_table(evaluation)}")
    targets = check_targets(evaluation, default_strength) if default_strength is not None else []
    if targets:
        parts.append("\n".join(f"- {'met' if t.met else 'MISSED'}: {t.text}: {t.value}" for t in targets))
    return "\n\n".join(parts) + "\n"


def level_table(readings: Mapping[str, LevelReadings]) -> str:
    """SE's error as a share of the level's range and the coverage of its stated deviation, in Markdown."""
    rows = [
        [name, f"{read.error_share:.1%}", f"{read.coverage:.1%}", f"{read.measured.mean():.2f}"]
        for name, read in [*readings.items(), ("all", pooled(readings.values()))]
    ]
    return markdown_table(("strength", "mean absolute error", "within one deviation", "mean level, pixels"), rows)


def mean_of(evaluation: Evaluation, method: str, column: str, strength: str | None = None) -> float:
    """Mean over the faces of one column of one method, at one strength or over all."""
    chosen = [m for m in evaluation.measurements if m.method == method and strength in (None, m.strength)]
    return float(np.mean([getattr(m, column) for m in chosen]))


def best_classical(evaluation: Evaluation, strength: str | None = None) -> str | None:
    """The baseline with the best mean PSNR among those measured, the degraded crop itself aside."""
    names = [n for n in classical_baselines() if n in evaluation.methods and n != "degraded"]
    return max(names, key=lambda n: mean_of(evaluation, n, "psnr", strength), default=None)


def check_targets(evaluation: Evaluation, default_strength: float) -> list[Target]:
    """What was promised, as far as it was measured: of RM, of the full method at its default, and of its parts."""
    full = full_name(default_strength)
    found = [*_of_restoration(evaluation), *_of_full(evaluation, full), *_of_parts(evaluation, full)]
    return [Target(*target) for target in found]


_Target = tuple[str, str, bool]


def _of_restoration(evaluation: Evaluation) -> Iterator[_Target]:
    measured = set(evaluation.methods)
    if {"degraded", "rm"} <= measured:
        gain = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, "degraded", "psnr")
        yield "RM gains at least 1.5 dB over the degraded crops", f"{gain:+.2f} dB", gain >= 1.5
    classical = best_classical(evaluation)
    if classical is not None and "rm" in measured:
        ahead = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, classical, "psnr")
        yield f"RM beats the best classical method, {classical}", f"{ahead:+.2f} dB", ahead > 0


def _of_full(evaluation: Evaluation, full: str) -> Iterator[_Target]:
    measured = set(evaluation.methods)
    if {"rm", full} <= measured:
        lost = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, full, "psnr")
        yield f"{full} loses at most 1 dB against RM", f"{-lost:+.2f} dB", lost <= 1.0
        closed = 1 - mean_of(evaluation, full, "spectrum") / mean_of(evaluation, "rm", "spectrum")
        yield f"{full} closes at least 60 % of RM's log-spectrum distance", f"{closed:.1%}", closed >= 0.6
    if full in measured:
        most = max(m.evaluations for m in evaluation.measurements if m.method == full)
        yield "at most 16 network evaluations a face", f"{most:.1f} in the worst batch", most <= 16


def _of_parts(evaluation: Evaluation, full: str) -> Iterator[_Target]:
    measured = evaluation.methods
    if full not in measured:
        return
    psnr_of_full = mean_of(evaluation, full, "psnr")
    if "unguided" in measured:
        gain = psnr_of_full - mean_of(evaluation, "unguided", "psnr")
        yield "guides gain at least 1 dB over the unguided prior from the same steps", f"{gain:+.2f} dB", gain >= 1
    for kind, matches in (("fixed starting step", is_step_name), ("global guidance scale", is_scale_name)):
        rivals = [name for name in measured if matches(name)]
        better = [name for name in rivals if dominates(evaluation, name, full)]
        if rivals:
            yield f"no {kind} of {len(rivals)} is as good in all", ", ".join(better) or "none is", not better
    if "gradient" in measured:
        behind = mean_of(evaluation, "gradient", "psnr") - psnr_of_full
        share = mean_of(evaluation, full, "seconds") / mean_of(evaluation, "gradient", "seconds")
        text = "the closed form is within 0.2 dB of the gradient at a twentieth of its time"
        yield text, f"{-behind:+.2f} dB, 1/{1 / share:.0f} of the time", behind <= 0.2 and share <= 1 / 20


def dominates(evaluation: Evaluation, rival: str, method: str) -> bool:
    """Whether a rival is at least as good on PSNR and on spectrum distance, and as cheap in evaluations."""

    def of(name: str) -> tuple[float, float, float]:
        return tuple(mean_of(evaluation, name, column) for column in ("psnr", "spectrum", "evaluations"))  # type: ignore[return-value]

    (psnr, spectrum, evaluations), (psnr_of, spectrum_of, evaluations_of) = of(rival), of(method)
    return psnr >= psnr_of and spectrum <= spectrum_of and evaluations <= evaluations_of


def _table(evaluation: Evaluation, strength: str | None = None) -> str:
    shown = [c for c in COLUMNS if not all(math.isnan(getattr(m, c)) for m in evaluation.measurements)]
    lines = []
    for method in evaluation.methods:
        means = [mean_of(evaluation, method, column, strength) for column in shown]
        lines.append([method, *(format(v, COLUMNS[c][1]) for c, v in zip(shown, means, strict=True))])
    return markdown_table(("method", *(COLUMNS[column][0] for column in shown)), lines)


def _group_table(evaluation: Evaluation) -> str:
    groups = sorted({m.group for m in evaluation.measurements})
    lines = []
    for group in groups:
        members = [m for m in evaluation.measurements if m.group == group]
        cells = []
        for method in evaluation.methods:
            chosen = [m for m in members if m.method == method]
            cells.append(f"{np.mean([m.psnr for m in chosen]):.2f} / {np.mean([m.spectrum for m in chosen]):.2f}")
        lines.append([group or "unknown", str(len({m.face for m in members})), *cells])
    return markdown_table(("group", "faces", *evaluation.methods), lines)


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; header and lines are of one length."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
