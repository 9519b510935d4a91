"""What `steadiness` measured, as Markdown tables held against what was promised, and as clips side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from evaluation.report import markdown_table
from evaluation.steadiness import ALL, ALONE, FRESH, RM, Row
from evaluation.targets import Target

HEADER = (
    "version",
    "PSNR in the face, dB",
    "log-spectrum distance",
    "error along the flow",
    "landmark motion error, %",
    "flicker",
    "evaluations a frame",
    "seconds a frame",
)
FORMATS = {
    "psnr": ".2f",
    "spectrum": ".3f",
    "flow_error": ".2f",
    "landmarks": ".2f",
    "flicker": ".2f",
    "evaluations": ".1f",
    "seconds": ".2f",
}


def markdown(rows: Sequence[Row]) -> str:
    """A table of means over the clips for each strength, then what was promised."""
    parts = []
    for strength in _names(rows, "strength"):
        here = [row for row in rows if row.strength == strength]
        lines = [
            [method, *(_cell(_mean(here, method, column), form) for column, form in FORMATS.items())]
            for method in _names(here, "method")
        ]
        parts.append(f"{strength}, {len(_names(here, 'clip'))} clips:\n\n{markdown_table(HEADER, lines)}")
    kept = [f"- {'met' if t.met else 'MISSED'}: {t.text}: {t.value}" for t in promises(rows)]
    return "\n\n".join([*parts, "\n".join(kept)]) + "\n"


def promises(rows: Sequence[Row]) -> list[Target]:
    """What was promised of all parts together, and whether it holds; only what has been measured."""
    found = []
    for strength in _names(rows, "strength"):
        here = [row for row in rows if row.strength == strength]
        measured = set(_names(here, "method"))
        if {ALONE, ALL} <= measured:
            found += _of_all(here, strength)
        if set(RM) <= measured and strength == "medium":
            single, windows = (_mean(here, method, "psnr") for method in RM)
            gain = windows - single
            found.append(Target("medium: RM gains 0.5 dB by its window", f"{gain:+.2f} dB", gain >= 0.5))
    return found


def _of_all(here: Sequence[Row], strength: str) -> list[Target]:
    if strength == FRESH:
        share = _mean(here, ALL, "flicker") / _mean(here, "input", "flicker")
        steady = Target(f"{strength}: flicker is at most a quarter of the input's", f"{share:.0%}", share <= 0.25)
    else:
        share = _mean(here, ALL, "flow_error") / _mean(here, "clean", "flow_error")
        text = f"{strength}: error along the flow is at most 1.1 of the clean clips'"
        steady = Target(text, f"{share:.2f}", share <= 1.1)
    moved = _mean(here, ALL, "landmarks") / _mean(here, "input", "landmarks")
    gain = _mean(here, ALL, "psnr") - _mean(here, ALONE, "psnr")
    return [
        steady,
        Target(f"{strength}: landmark motion error is at most half of the input's", f"{moved:.0%}", moved <= 0.5),
        Target(f"{strength}: PSNR is at least that of {ALONE}", f"{gain:+.2f} dB", gain >= 0),
    ]


def side_by_side(versions: Mapping[str, np.ndarray], names: Sequence[str], *, zoom: int = 2) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 of some versions beside each other, enlarged, with their names."""
    for together in zip(*(versions[name] for name in names), strict=True):
        panels = []
        for name, picture in zip(names, together, strict=True):
            panel = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
            for colour, width in (((255, 255, 255), 2), ((0, 0, 0), 1)):
                cv2.putText(panel, name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, width, cv2.LINE_AA)
            panels.append(panel)
        yield np.concatenate(panels, axis=1)


def _names(rows: Sequence[Row], column: str) -> list[str]:
    return list(dict.fromkeys(getattr(row, column) for row in rows))


def _mean(rows: Sequence[Row], method: str, column: str) -> float:
    """Over the rows of a method that have the value; not a number where none has."""
    values = [getattr(row, column) for row in rows if row.method == method]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _cell(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)
