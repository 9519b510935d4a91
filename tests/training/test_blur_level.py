"""SE's training on single crops and windows, and the scale of its stated deviation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from dynface_video.models.blur_level import (
    BlurLevelEstimator,
    trusted_level,
    z_from_level,
)
from dynface_video.models.restoration import RestorationModel
from dynface_video.pretrained import load_pretrained, save_pretrained
from loading import load_script
from noise_faces import noise_faces
from training.blur_level import BlurLevelTraining
from training.restoration import RestorationTraining, WindowTraining

SIZE = 32
NETWORK = RestorationModel(resolution=SIZE, channels=(8, 8), blocks=(1, 1))
CONFIG = BlurLevelEstimator(resolution=SIZE, channels=(8, 8, 8), bands=8)


def training(fusion: int) -> BlurLevelTraining:
    alone = RestorationModel.from_config(NETWORK.config)
    windows = WindowTraining(noise_faces(), alone, fusion=4)
    model = windows.build() if fusion else alone
    assert isinstance(model, RestorationModel)
    return BlurLevelTraining(RestorationTraining(noise_faces(), NETWORK), windows, model, CONFIG)


def test_half_of_what_se_learns_from_are_windows_where_rm_reads_them() -> None:
    for fusion, read in ((0, 4), (4, 2)):
        component = training(fusion)
        batch = component.batch(np.random.default_rng(0), 4, held_out=False)
        crops = component.degraded_faces.batch(np.random.default_rng(0), read, held_out=False)
        assert batch["degraded"].shape == (4, 3, SIZE, SIZE) and batch["level"].shape == (4,)
        assert torch.equal(batch["degraded"][:read], crops["degraded"])
        with torch.no_grad():
            error = (component.restoration(crops["degraded"]) - crops["clean"]) * crops["mask"]
        assert torch.equal(batch["level"][:read], trusted_level(error))


def test_the_loss_is_least_at_the_level_and_its_own_error() -> None:
    component, levels = training(0), torch.tensor([0.5, 2.0]) / 128
    batch = {"degraded": levels, "estimate": levels, "level": levels}

    def loss(off: float, deviation: float) -> float:
        def says(degraded: torch.Tensor, estimate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return z_from_level(degraded) + off, torch.full_like(degraded, math.log(deviation))

        return float(component.loss(says, batch, torch.Generator()))  # type: ignore[arg-type]

    assert loss(0.0, 0.2) < loss(0.2, 0.2) < loss(0.4, 0.2)
    assert loss(0.2, 0.2) < min(loss(0.2, 0.1), loss(0.2, 0.4))


def test_a_calibrated_se_states_its_deviation_times_the_scale(tmp_path: Path) -> None:
    script, estimator = load_script("calibrate_levels"), BlurLevelEstimator.from_config(CONFIG.config)
    save_pretrained(estimator, tmp_path)
    crops = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) - 0.5
    mean, before = load_pretrained(BlurLevelEstimator, tmp_path)(crops, 0.5 * crops)
    assert script.scale_std(tmp_path, 0.5) == 0.5
    assert script.scale_std(tmp_path, 0.5) == 0.25
    same, after = load_pretrained(BlurLevelEstimator, tmp_path)(crops, 0.5 * crops)
    assert torch.equal(mean, same)
    torch.testing.assert_close(after, before + math.log(0.25))
