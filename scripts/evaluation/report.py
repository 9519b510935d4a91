"""An evaluation as CSV and as Markdown tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.baselines import classical_baselines
from evaluation.calibration import LevelReadings, pooled
from evaluation.measure import Evaluation, Measurement
from evaluation.targets import INPUT, Target, mean_of, ratio_to_input

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

COLUMNS = {
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "perceptual": ("perceptual distance", ".3f"),
    "perceptual_native": ("perceptual distance at full size", ".3f"),
    "identity": ("identity distance", ".3f"),
    "landmarks": ("landmark error, % of eye distance", ".2f"),
    "chroma": ("chroma error (CbCr), levels", ".2f"),
    "roughness": ("roughness of skin", ".2f"),
    "finest": ("finest two octaves off, decades", ".2f"),
    "spectrum": ("log-spectrum distance", ".3f"),
    "evaluations": ("evaluations a face", ".1f"),
    "seconds": ("seconds a face", ".2f"),
}
"""Heading and format of each column; columns without measurements are omitted."""
WITH_RATIO = {"perceptual", "perceptual_native", "identity", "landmarks", "chroma", "finest", "spectrum"}
"""Columns of errors, whose ratio to the input's is shown; PSNR is compared by its difference."""


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """One row for each method, strength and face; octaves are columns of their own, finest first."""
    rows = [_flat(measurement) for measurement in evaluation.measurements]
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_rows(rows: Sequence[DataclassInstance], path: Path) -> None:
    """Dataclasses of one kind, at least one, as CSV."""
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, [field.name for field in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def markdown(evaluation: Evaluation, targets: Sequence[Target] = ()) -> str:
    """Tables of means: over all strengths, for each strength, of the octaves, by group of people; then the targets."""
    strengths = list(evaluation.faces)
    count = len(evaluation.faces[strengths[0]])
    parts = [f"{count} faces, mean over {', '.join(strengths)}; in brackets against the input:\n\n{_table(evaluation)}"]
    for strength in strengths:
        chosen = {m: evaluation.settings[strength, m] for m in evaluation.methods if evaluation.settings[strength, m]}
        note = "; ".join(f"{method}: {setting}" for method, setting in chosen.items())
        table = _table(evaluation, strength)
        parts.append(f"{strength}{f' (chosen against the truth: {note})' if note else ''}:\n\n{table}")
    parts.append(f"Power of each octave against the clean face's, decades:\n\n{_octave_table(evaluation)}")
    if any(m.group for m in evaluation.measurements):
        parts.append(f"PSNR / perceptual distance by group, mean over strengths:\n\n{_group_table(evaluation)}")
    if targets:
        parts.append("\n".join(f"- {'met' if t.met else 'MISSED'}: {t.text}: {t.value}" for t in targets))
    return "\n\n".join(parts) + "\n"


def level_table(readings: Mapping[str, LevelReadings]) -> str:
    """SE's error as a share of the level's range and the coverage of its stated std, in Markdown."""
    rows = [
        [name, f"{read.error_share:.1%}", f"{read.coverage:.1%}", f"{read.measured.mean():.2%}"]
        for name, read in [*readings.items(), ("all", pooled(readings.values()))]
    ]
    return markdown_table(("strength", "mean absolute error", "within one std", "mean level, of the side"), rows)


def best_classical(evaluation: Evaluation, strength: str | None = None) -> str | None:
    """The baseline with the best mean PSNR among those measured, the degraded crop itself aside."""
    names = [n for n in classical_baselines() if n in evaluation.methods and n != INPUT]
    return max(names, key=lambda n: mean_of(evaluation, n, "psnr", strength), default=None)


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; header and lines are of one length."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _flat(measurement: Measurement) -> dict[str, object]:
    row = asdict(measurement)
    return row | {f"octave_{k}": offset for k, offset in enumerate(row.pop("octaves"), 1)}


def _table(evaluation: Evaluation, strength: str | None = None) -> str:
    shown = [c for c in COLUMNS if not all(math.isnan(getattr(m, c)) for m in evaluation.measurements)]
    if all(m.perceptual_native == m.perceptual for m in evaluation.measurements):
        shown = [c for c in shown if c != "perceptual_native"]  # faces that were not reduced
    lines = [[m, *(_cell(evaluation, m, c, strength) for c in shown)] for m in evaluation.methods]
    return markdown_table(("method", *(COLUMNS[column][0] for column in shown)), lines)


def _cell(evaluation: Evaluation, method: str, column: str, strength: str | None) -> str:
    value = mean_of(evaluation, method, column, strength)
    cell = format(value, COLUMNS[column][1])
    if method == INPUT or INPUT not in evaluation.methods:
        return cell
    if column == "psnr":
        return f"{cell} ({value - mean_of(evaluation, INPUT, column, strength):+.2f})"
    return f"{cell} ({ratio_to_input(evaluation, method, column, strength):.2f})" if column in WITH_RATIO else cell


def _octave_table(evaluation: Evaluation) -> str:
    count = len(evaluation.measurements[0].octaves)
    header = ["strength", "method", "finest", *(f"1/{2**k}" for k in range(1, count))]
    lines = []
    for strength in evaluation.faces:
        for method in evaluation.methods:
            rows = [m.octaves for m in evaluation.measurements if (m.method, m.strength) == (method, strength)]
            lines.append([strength, method, *(f"{value:+.2f}" for value in np.mean(rows, axis=0))])
    return markdown_table(header, lines)


def _group_table(evaluation: Evaluation) -> str:
    lines = []
    for group in sorted({m.group for m in evaluation.measurements}):
        members = [m for m in evaluation.measurements if m.group == group]
        cells = []
        for method in evaluation.methods:
            chosen = [m for m in members if m.method == method]
            psnr, perceptual = (np.mean([getattr(m, c) for m in chosen]) for c in ("psnr", "perceptual"))
            cells.append(f"{psnr:.2f} / {perceptual:.3f}")
        lines.append([group or "unknown", str(len({m.face for m in members})), *cells])
    return markdown_table(("group", "faces", *evaluation.methods), lines)
