"""The training loop: its average, and that an interrupted run goes on as an undisturbed one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.loop import Batch, LoopConfig, load_average, train


class Constant:
    """One weight that learns the constant 1."""

    name = "constant"

    def build(self) -> nn.Module:
        layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        return {"x": torch.from_numpy(rng.uniform(0.5, 1.5, (size, 1)).astype(np.float32))}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return (model(batch["x"]) - batch["x"]).square().mean()

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        return {"weight": float(next(model.parameters()))}


def run(folder: Path, crops: int, ema: float = 0.9) -> float:
    config = LoopConfig(crops=crops, batch_size=2, learning_rate=0.02, warmup=0, ema=ema, validation_crops=2)
    return float(next(train(Constant(), config, folder, torch.device("cpu")).parameters()))


def test_the_average_follows_the_weights_behind_them(tmp_path: Path) -> None:
    slow, fast = run(tmp_path / "slow", 60, ema=0.99), run(tmp_path / "fast", 60, ema=0.0)
    assert 0 < slow < fast < 1.2


def test_a_resumed_run_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 40)
    run(tmp_path / "parts", 20)
    assert run(tmp_path / "parts", 40) == whole
    averaged = float(next(load_average(Constant(), tmp_path / "parts").parameters()))
    assert averaged == whole
