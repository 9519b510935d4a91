"""Quality against crops seen, from the log of a training: what more training would buy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from dynface_video.errors import InputError
from evaluation.calibration import pyplot_or_error

CROPS = "crops"
Log = list[dict[str, float]]


def read_log(path: Path) -> Log:
    """The lines of a `log.jsonl`, in the order of crops; of a line written twice, by a run that resumed, the later one.

    Raises InputError for a file that is no such log.
    """
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return list({row[CROPS]: row for row in sorted(rows, key=lambda row: row[CROPS])}.values())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the log of a training: {error}") from error


def matching_columns(log: Log, patterns: Sequence[str]) -> list[str]:
    """Columns of a log that fit one of some shell patterns, in their order.

    Raises InputError where none does, with the columns that exist.
    """
    names = list(dict.fromkeys(name for row in log for name in row))
    chosen = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    if not chosen:
        raise InputError(f"no column fits {' '.join(patterns)}; the log has: {' '.join(names)}")
    return chosen


def plot_training(log: Log, patterns: Sequence[str], path: Path) -> None:
    """Draw columns of a log over the crops seen, one line each, crops on a logarithmic scale.

    Raises InputError where no column fits or matplotlib is not installed.
    """
    columns, pyplot = matching_columns(log, patterns), pyplot_or_error()
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in columns:
        points = [(row[CROPS], row[name]) for row in log if name in row and row[CROPS] > 0]
        axes.plot(*zip(*points, strict=True), "o-", ms=3, label=name)
    axes.set(xlabel="crops seen", xscale="log")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
