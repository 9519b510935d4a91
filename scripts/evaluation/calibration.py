"""Is SE right, and does it know how right? Its levels against those measured from the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from dynface_video.errors import InputError
from dynface_video.models.blur_level import LARGEST_LEVEL, LEVEL_OFFSET, trusted_level, z_from_level
from evaluation.faces import DegradedFace
from evaluation.methods import Restorer

ONE_SIGMA = 0.6827


@dataclass(frozen=True)
class LevelReadings:
    """SE's readings of N faces.

    predicted, measured: blur levels in pixels at R, (N,); deviation: SE's own, of z = log(s + 0.2), (N,)
    """

    predicted: np.ndarray
    measured: np.ndarray
    deviation: np.ndarray

    @property
    def error_share(self) -> float:
        """Mean absolute error as a share of the range [0, `LARGEST_LEVEL`]."""
        return float(np.abs(self.predicted - self.measured).mean() / LARGEST_LEVEL)

    @property
    def coverage(self) -> float:
        """Share of the faces whose measured level lies within one stated deviation; 0.68 is honest."""
        return float((self._surprise() <= 1).mean())

    @property
    def std_scale(self) -> float:
        """The factor that would make the stated deviations honest on these faces."""
        return float(np.quantile(self._surprise(), ONE_SIGMA))

    def _surprise(self) -> np.ndarray:
        predicted, measured = (z_from_level(torch.from_numpy(x)).numpy() for x in (self.predicted, self.measured))
        return np.asarray(np.abs(measured - predicted) / self.deviation)


def pooled(readings: Iterable[LevelReadings]) -> LevelReadings:
    """All readings as one."""
    parts = list(readings)
    return LevelReadings(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(LevelReadings)))


def read_levels(restorer: Restorer, faces: Sequence[DegradedFace], *, batch: int = 16) -> LevelReadings:
    """Read the levels of degraded faces and measure them against the clean ones."""
    predicted, measured, deviation = [], [], []
    for start in range(0, len(faces), batch):
        part = faces[start : start + batch]
        crops = np.stack([face.image for face in part])
        levels, confidence = restorer.estimate(crops)
        error = 2 * (restorer.restoration(crops) - np.stack([face.clean.image for face in part]))
        predicted.append(np.asarray(levels, np.float64))
        measured.append(trusted_level(torch.from_numpy(error).permute(0, 3, 1, 2)).double().numpy())
        deviation.append(1 / np.asarray(confidence, np.float64) - 1)
    return LevelReadings(*(np.concatenate(values) for values in (predicted, measured, deviation)))


def plot_calibration(readings: Mapping[str, LevelReadings], path: Path) -> None:
    """Predicted against measured level of every face, with the stated deviation, one colour a strength.

    Raises InputError where matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    figure, axes = pyplot.subplots(figsize=(6, 6))
    for strength, read in readings.items():
        low, high = ((read.predicted + LEVEL_OFFSET) * np.exp(sign * read.deviation) - LEVEL_OFFSET for sign in (-1, 1))
        bars = np.clip([read.predicted - low, high - read.predicted], 0, None)
        axes.errorbar(read.measured, read.predicted, yerr=bars, fmt="o", ms=3, lw=0.6, alpha=0.6, label=strength)
    axes.plot([0, LARGEST_LEVEL], [0, LARGEST_LEVEL], color="black", lw=0.8)
    axes.set(xlabel="measured level, pixels", ylabel="predicted level, pixels, with its stated deviation")
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
