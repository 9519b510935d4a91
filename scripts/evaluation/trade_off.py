"""Fidelity against quality, for every method: the curve that a guidance map has to lie beyond."""

from __future__ import annotations

from pathlib import Path

from evaluation.calibration import pyplot_or_error
from evaluation.measure import Evaluation
from evaluation.methods import is_full_name, is_scale_name, is_step_name
from evaluation.targets import mean_of

AXES = {"perceptual": "perceptual distance", "identity": "identity distance"}


def plot_trade_off(evaluation: Evaluation, path: Path) -> None:
    """PSNR over perceptual and over identity distance, means over all strengths; up and to the left is better.

    The full method's strengths, the fixed steps and the guidance scales are a line each, other methods are points.
    Raises InputError where matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    figure, panels = pyplot.subplots(1, len(AXES), figsize=(8 * len(AXES), 6))
    families = {"full, by strength": is_full_name, "fixed steps": is_step_name, "guidance scales": is_scale_name}
    for axes, column in zip(panels, AXES, strict=True):
        for label, belongs in families.items():
            names = [name for name in evaluation.methods if belongs(name)]
            if names:
                axes.plot(*_places(evaluation, names, column), "o-", ms=4, label=label)
        for name in evaluation.methods:
            (x,), (y,) = _places(evaluation, [name], column)
            if not any(belongs(name) for belongs in families.values()):
                axes.plot(x, y, "s", ms=5, color="black")
            axes.annotate(name, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=7)
        axes.set(xlabel=AXES[column], ylabel="PSNR, dB")
    panels[0].legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def _places(evaluation: Evaluation, names: list[str], column: str) -> tuple[list[float], list[float]]:
    return (
        [mean_of(evaluation, name, column) for name in names],
        [mean_of(evaluation, name, "psnr") for name in names],
    )
