"""Is SE right, and does it know how right? Its levels against those measured from the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from dynface_video.errors import InputError
from dynface_video.models.blur_level import LARGEST_LEVEL, LEVEL_OFFSET, trusted_level, z_from_level
from dynface_video.pipeline import to_tensor
from dynface_video.stage import Stage
from evaluation.faces import DegradedFace

ONE_SIGMA = 0.6827


@dataclass(frozen=True)
class LevelReadings:
    """SE's readings of N faces.

    predicted, measured: relative blur levels, (N,); std: SE's own, of z = log(1 + s / s0), (N,)
    """

    predicted: np.ndarray
    measured: np.ndarray
    std: np.ndarray

    @property
    def error_share(self) -> float:
        """Mean absolute error as a share of the range [0, `LARGEST_LEVEL`]."""
        return float(np.abs(self.predicted - self.measured).mean() / LARGEST_LEVEL)

    @property
    def coverage(self) -> float:
        """Share of the faces whose measured level lies within one stated std; 0.68 is honest."""
        return float((self._surprise() <= 1).mean())

    @property
    def std_scale(self) -> float:
        """The factor that would make the stated stds honest on these faces."""
        return float(np.quantile(self._surprise(), ONE_SIGMA))

    def _surprise(self) -> np.ndarray:
        predicted, measured = (z_from_level(torch.from_numpy(x)).numpy() for x in (self.predicted, self.measured))
        return np.asarray(np.abs(measured - predicted) / self.std)


def pooled(readings: Iterable[LevelReadings]) -> LevelReadings:
    """All readings as one."""
    parts = list(readings)
    return LevelReadings(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(LevelReadings)))


def read_levels(stage: Stage, faces: Sequence[DegradedFace], *, batch: int = 16) -> LevelReadings:
    """Read the levels of degraded faces of the stage's size and measure them against the clean ones."""
    predicted, measured, std = [], [], []
    for start in range(0, len(faces), batch):
        part = faces[start : start + batch]
        estimates = stage.regress(to_tensor(np.stack([face.image for face in part]), stage.device))
        levels, confidence = stage.estimate_levels(estimates)
        error = 2 * (estimates.estimate.cpu() - to_tensor(np.stack([face.clean.image for face in part])))
        predicted.append(levels.double().cpu().numpy())
        measured.append(trusted_level(error).double().numpy())
        std.append(1 / confidence.double().cpu().numpy() - 1)
    return LevelReadings(*(np.concatenate(values) for values in (predicted, measured, std)))


def plot_calibration(readings: Mapping[str, LevelReadings], path: Path) -> None:
    """Predicted against measured level of every face, with the stated std, one colour a strength.

    Raises InputError where matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    figure, axes = pyplot.subplots(figsize=(6, 6))
    for strength, read in readings.items():
        low, high = ((read.predicted + LEVEL_OFFSET) * np.exp(sign * read.std) - LEVEL_OFFSET for sign in (-1, 1))
        bars = np.clip([read.predicted - low, high - read.predicted], 0, None)
        axes.errorbar(read.measured, read.predicted, yerr=bars, fmt="o", ms=3, lw=0.6, alpha=0.6, label=strength)
    axes.plot([0, LARGEST_LEVEL], [0, LARGEST_LEVEL], color="black", lw=0.8)
    axes.set(
        xlabel="measured level, share of the side", ylabel="predicted level, share of the side, with its stated std"
    )
    axes.set(xlim=(0, LARGEST_LEVEL), ylim=(0, LARGEST_LEVEL))
    axes.legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def pyplot_or_error():  # type: ignore[no-untyped-def]
    """matplotlib's pyplot, drawing to files; raises InputError where it is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise InputError("plots need matplotlib: pip install 'dynface-video[eval]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
