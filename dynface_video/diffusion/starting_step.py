"""DSST: for each blur level, the step from which a diffused blurred face resembles a clean one (docs/method.md 3)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dynface_video.diffusion.levels import level_in_pixels
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.errors import ModelError


@dataclass(frozen=True)
class StartingStepTable:
    """The table and everything it depends on.

    Attributes:
        blur_levels: Rising, relative to `resolution`.
        steps: The starting step for each, never falling.
        tolerance: Gap of log10 power between diffused clean and diffused blurred faces up to which they count as equal.
        resolution: Of the crops that it was built from, pixels.
        schedule: Of the prior.
        data_digest: SHA-256 of the crops.
    """

    blur_levels: tuple[float, ...]
    steps: tuple[int, ...]
    tolerance: float
    resolution: int
    schedule: NoiseSchedule
    data_digest: str

    def lookup(self, blur_level: np.ndarray | float) -> np.ndarray:
        """Starting steps for relative levels, int64 of the same shape; linear between entries, 0 at level 0."""
        levels = np.concatenate([[0.0], self.blur_levels])
        steps = np.concatenate([[0.0], self.steps])
        return np.round(np.interp(blur_level, levels, steps)).astype(np.int64)

    def check_fits(self, resolution: int, schedule: NoiseSchedule) -> None:
        """Raise ModelError when the table was built for another resolution or noise schedule."""
        if resolution != self.resolution or schedule != self.schedule:
            raise ModelError(
                f"this starting-step table was built for {self.resolution} px and {self.schedule}, the prior has "
                f"{resolution} px and {schedule}; build a table for it with scripts/build_dsst.py"
            )

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> StartingStepTable:
        """Read what `save` wrote; raises ModelError for anything else."""
        try:
            raw = json.loads(path.read_text())
            schedule = NoiseSchedule(**raw.pop("schedule"))
            raw["blur_levels"], raw["steps"] = tuple(raw["blur_levels"]), tuple(raw["steps"])
            return cls(schedule=schedule, **raw)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not a starting-step table: {error}") from error


def radial_power(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean radial power spectrum of crops in [-1, 1], (N, R, R, 3); white noise of variance 1 has power 1.

    Returns:
        Frequencies in cycles a pixel, (K,), and power, (K,).
    """
    size = images.shape[1]
    window = np.outer(np.hanning(size), np.hanning(size))
    power = np.zeros((size, size))
    for image in images:  # one by one: the spectra of a thousand crops of 512 pixels would take 25 GB
        windowed = (image - image.mean(axis=(0, 1))) * window[..., None]
        power += (np.abs(np.fft.fft2(windowed, axes=(0, 1))) ** 2).mean(axis=-1)
    power /= len(images) * (window**2).sum()
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    radius = np.round(np.hypot(fx, fy) * size).astype(int)
    keep = radius <= size // 2
    counts = np.bincount(radius[keep])
    return np.arange(len(counts))[1:] / size, (np.bincount(radius[keep], power[keep]) / counts)[1:]


def build_table(
    images: np.ndarray,
    schedule: NoiseSchedule,
    *,
    tolerance: float,
    blur_levels: tuple[float, ...],
    last_step: int,
    data_digest: str,
) -> StartingStepTable:
    """Build the DSST from clean crops.

    With S the radial power of clean faces and s in pixels, `X_t = abar S + (1 - abar)` and
    `Y_t^s = abar S exp(-4 pi^2 s^2 f^2) + (1 - abar)`; the starting step for s is the first t at which
    `max_f log10 X_t - log10 Y_t^s <= tolerance`.

    Args:
        images: Clean crops in [-1, 1], (N, R, R, 3).
        schedule: Of the prior.
        tolerance: See `StartingStepTable`.
        blur_levels: Rising, relative to R.
        last_step: The highest that the prior was trained at; levels that would ask for a higher one start there.
        data_digest: SHA-256 of the crops.
    """
    frequency, power = radial_power(images)
    alphas = schedule.alphas_cumprod().double().numpy()[:, None]
    clean = alphas * power + (1 - alphas)
    steps = []
    for level in blur_levels:
        pixels = level_in_pixels(level, images.shape[1])
        blurred = alphas * power * np.exp(-4 * np.pi**2 * pixels**2 * frequency**2) + (1 - alphas)
        gap = (np.log10(clean) - np.log10(blurred)).max(axis=1)
        reached = np.flatnonzero(gap <= tolerance)
        steps.append(int(reached[0]) if len(reached) else schedule.num_train_timesteps - 1)
    monotone = np.minimum(np.maximum.accumulate(steps), last_step)
    return StartingStepTable(
        tuple(blur_levels), tuple(int(s) for s in monotone), tolerance, images.shape[1], schedule, data_digest
    )
