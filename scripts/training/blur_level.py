"""Training of SE on the levels down to which a given RM can be trusted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.models.blur_level import (
    LARGEST_LEVEL,
    BlurLevelEstimator,
    level_from_z,
    trusted_level,
    z_from_level,
)
from dynface_video.models.restoration import RestorationModel
from training.loop import Batch
from training.restoration import RestorationTraining, WindowTraining


class BlurLevelTraining:
    """A `Component` that trains SE; RM stays as it is.

    network: an SE whose configuration is that of the one to train
    windows: clips of simulated motion; where RM reads windows, half of what SE learns from are those
    """

    name = "blur_level"

    def __init__(
        self,
        degraded_faces: RestorationTraining,
        windows: WindowTraining,
        model: RestorationModel,
        network: BlurLevelEstimator,
    ) -> None:
        self.degraded_faces, self.windows, self.restoration, self.network = degraded_faces, windows, model, network

    def build(self) -> nn.Module:
        """A freshly initialised SE."""
        return BlurLevelEstimator.from_config(self.network.config)

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """What RM starts from (degraded crops, fused with their windows), its estimates, the levels by the truth."""
        in_windows = 0 if self.restoration.fusion is None else size // 2
        parts = [self._read(self.degraded_faces.batch(rng, size - in_windows, held_out=held_out))]
        if in_windows:
            parts.append(self._read(self.windows.windows(rng, in_windows, held_out=held_out)))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    @torch.no_grad()
    def _read(self, batch: Batch) -> Batch:
        regression = self.restoration.regress(
            batch["degraded"], batch.get("coarse"), batch.get("neighbours"), batch.get("valid")
        )
        estimate = regression.estimate.float()
        level = trusted_level((estimate - batch["clean"]) * batch["mask"])
        return {"degraded": regression.evidence, "estimate": estimate, "level": level}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """See `level_loss`."""
        return level_loss(model, batch)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Mean absolute error as a share of the range; coverage of the one-sigma interval (honest: 0.68)."""
        mean, log_deviation = model(batch["degraded"], batch["estimate"])
        error = (level_from_z(mean) - batch["level"]).abs()
        inside = (z_from_level(batch["level"]) - mean).abs() <= log_deviation.exp()
        return {
            "error_share": float(error.mean() / LARGEST_LEVEL),
            "coverage": float(inside.float().mean()),
            "level_mean": float(batch["level"].mean()),
            "level_deviation": float(batch["level"].std()),
        }


def level_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Negative log likelihood of the true levels under SE's Gaussian over z, a scalar."""
    mean, log_std = model(batch["degraded"], batch["estimate"])
    distance = (z_from_level(batch["level"]) - mean) / log_std.exp()
    return (0.5 * distance.square() + log_std).mean()
