from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.discriminator import Adversarial, PatchDiscriminator
from training.gpu.checkpoint import load_parts
from training.gpu.timed_loop import LoopOptions, TaskOptions, parts_of, train_for

CPU = torch.device("cpu")


@dataclass
class Clock:
    """Every look at it takes a second."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@dataclass
class FitsALine:
    """A task: the slope of a line through the origin."""

    name: str = "line"
    network: str = "line"
    options: TaskOptions = field(default_factory=lambda: TaskOptions(batch_size=8, learning_rate=0.1, ema=0.5))
    overflow_at: int | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)

    def build(self) -> nn.Module:
        line = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(line.weight)
        return line

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        x = torch.rand(size, 1, generator=generator)
        self.seen.append((size, int(rng.integers(1000))))
        loss = (model(x) - 3 * x).square().mean()
        return loss * torch.inf if len(self.seen) == self.overflow_at else loss


def loop(**changes: object) -> LoopOptions:
    return LoopOptions(**{"bfloat16": False, "clock": Clock(), "log_seconds": 10.0, "save_seconds": 20.0} | changes)  # type: ignore[arg-type]


def slope(model: nn.Module) -> float:
    return float(next(model.parameters()))


def test_it_trains_until_the_time_is_over_and_logs_on_the_way(tmp_path: Path) -> None:
    task = FitsALine()
    average = train_for(task, 100, loop(), tmp_path, CPU)
    assert slope(average) == pytest.approx(3, abs=0.1)
    rows = [json.loads(line) for line in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert len(rows) == 10 and rows[-1]["seconds"] == 100
    assert rows[-1]["crops"] == 8 * len(task.seen) == 800
    assert rows[0]["loss"] > rows[-1]["loss"]


def test_a_run_that_was_stopped_goes_on_where_it_stopped(tmp_path: Path) -> None:
    undisturbed = FitsALine()
    train_for(undisturbed, 60, loop(), tmp_path / "one", CPU)
    stopped = FitsALine(overflow_at=None)

    def stop(size: int) -> None:
        raise KeyboardInterrupt

    first = FitsALine()
    original = first.loss
    first.loss = lambda *a: stop(0) if len(first.seen) == 25 else original(*a)  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        train_for(first, 60, loop(), tmp_path / "two", CPU)
    train_for(stopped, 60, loop(), tmp_path / "two", CPU)
    assert stopped.seen[0] == undisturbed.seen[20]  # the checkpoint of second 20
    assert len(stopped.seen) == 40


def test_a_finished_network_is_not_trained_again_and_keeps_only_its_average(tmp_path: Path) -> None:
    average = train_for(FitsALine(), 30, loop(), tmp_path, CPU)
    again = FitsALine()
    assert slope(train_for(again, 30, loop(), tmp_path, CPU)) == slope(average)
    assert again.seen == []
    state = load_parts(tmp_path, "line", CPU)
    assert state is not None and set(state) == {"average", "step", "seconds"}


def test_more_time_goes_on_from_the_averaged_weights(tmp_path: Path) -> None:
    before = slope(train_for(FitsALine(), 10, loop(), tmp_path, CPU))
    task = FitsALine()
    after = slope(train_for(task, 60, loop(), tmp_path, CPU))
    assert len(task.seen) == 50 and abs(after - 3) < abs(before - 3)


def test_a_batch_that_overflows_does_not_spoil_the_weights(tmp_path: Path) -> None:
    average = train_for(FitsALine(overflow_at=30), 100, loop(), tmp_path, CPU)
    assert slope(average) == pytest.approx(3, abs=0.1)


def test_a_dry_run_limits_the_batch(tmp_path: Path) -> None:
    task = FitsALine()
    train_for(task, 3, loop(largest_batch=2), tmp_path, CPU)
    assert {size for size, _ in task.seen} == {2}


def test_generator_and_discriminator_are_compiled_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    train_for(FitsALine(), 2, loop(), tmp_path / "plain", CPU)
    assert compiled == []
    train_for(FitsALine(), 2, loop(compiled=True), tmp_path / "compiled", CPU)
    assert [type(part) for part in compiled] == [nn.Linear]
    pair = Adversarial(nn.Linear(1, 1), PatchDiscriminator())
    assert list(parts_of(pair)) == [pair.generator, pair.discriminator]
