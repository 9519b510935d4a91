"""The training loop of a stated time: nothing in it waits for the device but the log and the checkpoints."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.discriminator import Adversarial
from training.gpu.checkpoint import load_parts, save_in_parts
from training.gpu.schedule import average_decay, learning_rate_factor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskOptions:
    """How a network is trained.

    batch_size: crops or patches of a step; betas: of Adam; ema: largest decay of the averaged weights
    """

    batch_size: int
    learning_rate: float = 4e-4
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.999


class DeviceTask(Protocol):
    """A network to train, and its loss on data that the device makes itself."""

    @property
    def name(self) -> str:
        """Of its checkpoint and its log."""
        ...

    @property
    def network(self) -> str:
        """The attribute of `PresetNetworks` that it trains."""
        ...

    @property
    def options(self) -> TaskOptions:
        """How it is trained."""
        ...

    def build(self) -> nn.Module:
        """The network as training begins, on the device."""
        ...

    def loss(self, model: nn.Module, size: int, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """The scalar to minimise, of a fresh batch; rng draws on the host, generator on the device."""
        ...


@dataclass(frozen=True)
class LoopOptions:
    """What all networks of a run have in common.

    seconds between lines of the log and between checkpoints; bfloat16: autocast of the losses; compiled: networks
    go through `torch.compile`; largest_batch: limits every batch, for a dry run; clock: seconds, rising
    """

    seed: int = 0
    log_seconds: float = 5.0
    save_seconds: float = 60.0
    bfloat16: bool = True
    compiled: bool = False
    largest_batch: int | None = None
    clock: Callable[[], float] = field(default=time.monotonic)


@dataclass(eq=False)
class TrainingState:
    """Where the training of one network stands; seconds: that it was trained for."""

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    def save(self, folder: Path, name: str, *, finished: bool) -> None:
        """Write a checkpoint; of a network that is finished the averaged weights are enough."""
        kept = ("average",) if finished else ("model", "average", "optimizer")
        states = {key: getattr(self, key).state_dict() for key in kept}
        save_in_parts(states | {"step": self.step, "seconds": self.seconds}, folder, name)

    def resume(self, folder: Path, name: str, device: torch.device) -> None:
        """Read the last checkpoint, if one was written; a finished network goes on from its averaged weights."""
        state = load_parts(folder, name, device)
        if state is None:
            return
        self.average.load_state_dict(state["average"])
        self.model.load_state_dict(state.get("model", state["average"]))
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        logger.info("%s: resumed after %.0f s, %d steps", name, self.seconds, self.step)


def train_for(task: DeviceTask, seconds: float, options: LoopOptions, folder: Path, device: torch.device) -> nn.Module:
    """Train one network until it has been trained for `seconds`, and give its averaged weights.

    It resumes from the folder's checkpoint; a network whose time is over is not trained further. The log,
    `<name>.jsonl`, has the mean loss since the last line.
    """
    state = _initial_state(task, device)
    state.resume(folder, task.name, device)
    size = min(task.options.batch_size, options.largest_batch or task.options.batch_size)
    if options.compiled:
        for part in parts_of(state.model):
            part.compile()
    generator, losses = torch.Generator(device), list[Tensor]()
    before, began = state.seconds, options.clock()
    logged = saved = state.seconds
    while state.seconds < seconds:
        for group in state.optimizer.param_groups:
            group["lr"] = task.options.learning_rate * learning_rate_factor(state.seconds / seconds)
        losses.append(_train_step(task, state, size, options, generator))
        state.seconds = before + options.clock() - began
        done = state.seconds >= seconds
        if done or state.seconds - logged >= options.log_seconds:
            logged = state.seconds
            _log(folder, task.name, state, losses, size)
            losses = []
        if done or state.seconds - saved >= options.save_seconds:
            saved = state.seconds
            state.save(folder, task.name, finished=done)
    return state.average


def _train_step(
    task: DeviceTask, state: TrainingState, size: int, options: LoopOptions, generator: torch.Generator
) -> Tensor:
    """One step of the optimiser; what it draws is a function of (seed, step). Returns the loss, detached."""
    rng = np.random.default_rng((options.seed, state.step))
    generator.manual_seed(options.seed * 1_000_003 + state.step)
    with torch.autocast(generator.device.type, torch.bfloat16, enabled=options.bfloat16):
        loss = task.loss(state.model, size, rng, generator)
    _descend(state, loss, task.options)
    return loss.detach()


def _initial_state(task: DeviceTask, device: torch.device) -> TrainingState:
    model = task.build().to(device).train().requires_grad_(True)
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), task.options.learning_rate, task.options.betas, weight_decay=1e-4, fused=True
    )
    return TrainingState(model, average, optimizer)


def _descend(state: TrainingState, loss: Tensor, options: TaskOptions) -> None:
    loss.backward()
    # A generator and its discriminator are apart: neither may take the other's share of the norm.
    for part in parts_of(state.model):
        torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        for parameter in part.parameters():
            if parameter.grad is not None:
                # A batch that overflowed must not spoil the weights, and asking whether it did would wait.
                parameter.grad.nan_to_num_(0, 0, 0)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    _average(state.average, state.model, average_decay(state.step, options.ema))


def parts_of(model: nn.Module) -> Iterable[nn.Module]:
    """The networks that are trained side by side: generator and discriminator, or the one."""
    return model.children() if isinstance(model, Adversarial) else (model,)


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    pairs = zip(average.state_dict().values(), model.state_dict().values(), strict=True)
    floating = [(a, b) for a, b in pairs if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floating], [b for _, b in floating], 1 - decay)


def _log(folder: Path, name: str, state: TrainingState, losses: list[Tensor], size: int) -> None:
    crops = state.step * size
    row = {
        "seconds": round(state.seconds, 1),
        "steps": state.step,
        "crops": crops,
        "crops_per_second": round(crops / max(state.seconds, 1e-9), 1),
        "loss": round(float(torch.stack(losses).float().mean()), 5),
    }
    if losses[-1].device.type == "cuda":
        row["device_gib"] = round(torch.cuda.max_memory_allocated(losses[-1].device) / 2**30, 1)
    logger.info("%s %s", name, row)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.jsonl", "a") as log:
        log.write(json.dumps(row) + "\n")
