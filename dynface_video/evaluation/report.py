"""An evaluation as CSV, as Markdown tables, and held against the project's targets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dynface_video.evaluation.baselines import classical_baselines
from dynface_video.evaluation.measure import Evaluation
from dynface_video.evaluation.methods import full_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

COLUMNS = ("psnr", "ssim", "spectrum", "evaluations", "seconds")
HEADER = ("method", "PSNR, dB", "SSIM", "log-spectrum distance", "evaluations a face", "seconds a face")
FORMATS = (".2f", ".3f", ".3f", ".1f", ".3f")


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


def mean_of(evaluation: Evaluation, method: str, column: str, strength: str | None = None) -> float:
    """Mean over the faces of one column of one method, at one strength or over all."""
    chosen = [m for m in evaluation.measurements if m.method == method and strength in (None, m.strength)]
    return float(np.mean([getattr(m, column) for m in chosen]))


def best_classical(evaluation: Evaluation, strength: str | None = None) -> str | None:
    """The baseline with the best mean PSNR among those measured, the degraded crop itself aside."""
    names = [n for n in classical_baselines() if n in evaluation.methods and n != "degraded"]
    return max(names, key=lambda n: mean_of(evaluation, n, "psnr", strength), default=None)


def check_targets(evaluation: Evaluation, default_strength: float) -> list[Target]:
    """What was promised of RM and of the full method at its default strength; only what has been measured."""
    measured, full = evaluation.methods, full_name(default_strength)
    targets = []
    if {"degraded", "rm"} <= set(measured):
        gain = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, "degraded", "psnr")
        targets.append(Target("RM gains at least 1.5 dB over the degraded crops", f"{gain:+.2f} dB", gain >= 1.5))
    classical = best_classical(evaluation)
    if classical is not None and "rm" in measured:
        ahead = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, classical, "psnr")
        targets.append(Target(f"RM beats the best classical method, {classical}", f"{ahead:+.2f} dB", ahead > 0))
    if {"rm", full} <= set(measured):
        lost = mean_of(evaluation, "rm", "psnr") - mean_of(evaluation, full, "psnr")
        targets.append(Target(f"{full} stays within 1.5 dB of RM", f"{-lost:+.2f} dB", lost <= 1.5))
    if {"degraded", full} <= set(measured):
        share = mean_of(evaluation, full, "spectrum") / mean_of(evaluation, "degraded", "spectrum")
        text = f"{full} has at most half the degraded crops' log-spectrum distance"
        targets.append(Target(text, f"{share:.0%}", share <= 0.5))
    return targets


def _table(evaluation: Evaluation, strength: str | None = None) -> str:
    lines = []
    for method in evaluation.methods:
        means = [mean_of(evaluation, method, column, strength) for column in COLUMNS]
        lines.append([method, *(format(value, f) for value, f in zip(means, FORMATS, strict=True))])
    return markdown_table(HEADER, lines)


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
