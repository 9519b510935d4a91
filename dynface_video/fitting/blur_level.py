"""Fitting SE to an RM: the level belongs to what that RM leaves behind (docs/method.md 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynface_video.fitting.pairs import Pairs
from dynface_video.models.blur_level import LARGEST_LEVEL, BlurLevelEstimator, level_from_z, z_from_level

BATCH = 8
LEARNING_RATE = 1e-3
WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
ONE_SIGMA = 0.6827
LARGEST_FEATURE_MAP = 32


@dataclass(frozen=True)
class LevelFit:
    """What was fitted, and how well it reads the held-out crops.

    Attributes:
        network: SE, with an honest std.
        error: Mean absolute error of the level, relative.
        constant_error: That of the best constant, for comparison.
        coverage: Share of the levels within one std; 0.68 is honest.
        crops: Number of held-out pairs.
    """

    network: BlurLevelEstimator
    error: float
    constant_error: float
    coverage: float
    crops: int


def fit_blur_level(
    pairs: Pairs,
    *,
    epochs: int = 12,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
) -> LevelFit:
    """Train an SE on pairs, and scale the std that it states so that 68 % of the held-out levels lie within it.

    Args:
        pairs: Of one RM.
        epochs: Passes over them.
        seed: Of the initialisation and the order.
        device: Where it is trained.
        on_step: Called with the number of steps done and in all.
    """
    size = pairs.clean.shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BlurLevelEstimator(resolution=size, unshuffle=max(1, size // LARGEST_FEATURE_MAP)).to(device)
    trained = torch.nonzero(~pairs.held_out).flatten().numpy()
    order = np.random.default_rng(seed)
    steps_an_epoch = math.ceil(len(trained) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * steps_an_epoch, pct_start=WARM_UP
    )
    spectra = _spectra(network, pairs, device)
    network.train()
    for epoch in range(epochs):
        for number, rows in enumerate(np.array_split(order.permutation(trained), steps_an_epoch)):
            mean, log_std = network.read(*_inputs(pairs, rows, device, flip=bool(order.random() < 0.5)), spectra[rows])
            distance = (z_from_level(pairs.level[rows].to(device)) - mean) / log_std.exp()
            loss = (0.5 * distance.square() + log_std).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if on_step is not None:
                on_step(epoch * steps_an_epoch + number + 1, epochs * steps_an_epoch)
    return _measured(network.eval().requires_grad_(False), pairs, spectra, device)


@torch.no_grad()
def _spectra(network: BlurLevelEstimator, pairs: Pairs, device: torch.device | str) -> Tensor:
    parts = np.array_split(np.arange(len(pairs)), math.ceil(len(pairs) / BATCH))
    return torch.cat([network.spectra(*_inputs(pairs, rows, device)) for rows in parts])


@torch.no_grad()
def _measured(network: BlurLevelEstimator, pairs: Pairs, spectra: Tensor, device: torch.device | str) -> LevelFit:
    held_out = torch.nonzero(pairs.held_out).flatten().numpy()
    parts = np.array_split(held_out, math.ceil(len(held_out) / BATCH))
    read = [network.read(*_inputs(pairs, rows, device), spectra[rows]) for rows in parts]
    mean, log_std = (torch.cat([part[i] for part in read]).cpu() for i in range(2))
    level = pairs.level[held_out]
    distance = (z_from_level(level) - mean).abs() / log_std.exp()
    factor = float(torch.quantile(distance, ONE_SIGMA).clamp(0.2, 5))
    network.update_config(std_scale=factor)
    constant = pairs.level[~pairs.held_out].median()
    return LevelFit(
        network,
        float((level_from_z(mean) - level).abs().mean()),
        float((constant.clamp(max=LARGEST_LEVEL) - level).abs().mean()),
        float((distance <= factor).float().mean()),
        len(held_out),
    )


def _inputs(pairs: Pairs, rows: np.ndarray, device: torch.device | str, *, flip: bool = False) -> tuple[Tensor, Tensor]:
    evidence, estimate = (part[rows].to(device).float() for part in (pairs.evidence, pairs.estimate))
    return (evidence.flip(-1), estimate.flip(-1)) if flip else (evidence, estimate)
