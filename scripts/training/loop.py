"""The one training loop: exponential moving average, checkpoints, resume, warm-up-stable-decay learning rate."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from training.discriminator import Adversarial

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]


class Component(Protocol):
    """What the loop trains: how to build it, draw a batch, and score it."""

    name: str

    def build(self) -> nn.Module:
        """A freshly initialised network."""
        ...

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """A training batch, or a held-out one."""
        ...

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """The scalar to minimise."""
        ...

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Scores of the averaged network on a held-out batch."""
        ...


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast.

    crops counts training crops from the very first run; the learning rate warms up over `warmup` crops, stays, and
    falls linearly to zero over the last `decay` crops. The average's horizon grows with the run up to `ema`.
    betas: of Adam; two networks that play against each other need a short memory of gradients, such as (0.5, 0.99)
    bfloat16: autocast; a processor without instructions for it becomes twenty times slower by it.
    """

    crops: int
    batch_size: int = 16
    learning_rate: float = 2e-4
    warmup: int = 2_000
    decay: int = 0
    ema: float = 0.9995
    betas: tuple[float, float] = (0.9, 0.999)
    seed: int = 0
    save_seconds: float = 180.0
    validation_crops: int = 96
    bfloat16: bool = False


def train(
    component: Component,
    config: LoopConfig,
    folder: Path,
    device: torch.device,
    initial: dict[str, Tensor] | None = None,
) -> nn.Module:
    """Train until `config.crops`; resumes from `folder/checkpoint.pt`. Returns the averaged model.

    initial: weights to begin with where there is no checkpoint yet, instead of the component's own initialisation.
    Randomness of a step is a function of (seed, step), so a resumed run sees what an undisturbed one would have seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    model, average = component.build().to(device), component.build().to(device)
    if initial is not None:
        (model.generator if isinstance(model, Adversarial) else model).load_state_dict(initial)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, config.betas, weight_decay=1e-4)
    step = _resume(folder / "checkpoint.pt", model, average, optimizer, device)
    averaging = _averaging(average, config.ema, step)
    held_out = _held_out(component, config, device)
    started, first, losses, saved = time.monotonic(), step, [], time.monotonic()
    steps = config.crops // config.batch_size
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        rng = np.random.default_rng((config.seed, 1, step))
        batch = {k: v.to(device) for k, v in component.batch(rng, config.batch_size, held_out=False).items()}
        generator = torch.Generator(device).manual_seed(config.seed * 1_000_003 + step)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
            loss = component.loss(model, batch, generator)
        loss.backward()
        # A generator and its discriminator are apart: neither may take the other's share of the norm.
        for part in model.children() if isinstance(model, Adversarial) else (model,):
            torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        averaging.step(model.parameters())
        losses.append(loss.detach())
        if time.monotonic() - saved > config.save_seconds or step == steps:
            saved = time.monotonic()
            rate = (step - first) * config.batch_size / (saved - started)
            _copy_buffers(model, average)
            scores = _validate(component, average, held_out, config, device)
            _report(folder, component.name, step * config.batch_size, float(torch.stack(losses).mean()), rate, scores)
            losses = []
            _save(folder / "checkpoint.pt", model, average, optimizer, step, config)
    return average


def score(component: Component, config: LoopConfig, folder: Path, device: torch.device) -> dict[str, float]:
    """Scores of the averaged weights of the last checkpoint in `folder` on `config.validation_crops` crops."""
    average = load_average(component, folder).to(device)
    return _validate(component, average, _held_out(component, config, device), config, device)


def learning_rate(config: LoopConfig, step: int) -> float:
    """Warm-up, plateau, linear decay."""
    crops = step * config.batch_size
    rise = min(1.0, (crops + config.batch_size) / max(config.warmup, 1))
    fall = min(1.0, (config.crops - crops) / config.decay) if config.decay else 1.0
    return config.learning_rate * rise * fall


def _averaging(average: nn.Module, decay: float, step: int) -> EMAModel:
    """The moving average that lives in the parameters of `average`; its horizon grows with the run up to `decay`."""
    averaging = EMAModel(average.requires_grad_(False).parameters(), decay=decay, foreach=True)
    averaging.shadow_params = list(average.parameters())
    averaging.optimization_step = step
    return averaging


@torch.no_grad()
def _copy_buffers(model: nn.Module, average: nn.Module) -> None:
    # Statistics of normalisation layers are averages already.
    for target, source in zip(average.buffers(), model.buffers(), strict=True):
        target.copy_(source)


def _held_out(component: Component, config: LoopConfig, device: torch.device) -> Batch:
    batch = component.batch(np.random.default_rng(config.seed), config.validation_crops, held_out=True)
    return {k: v.to(device) for k, v in batch.items()}


@torch.no_grad()
def _validate(
    component: Component, model: nn.Module, batch: Batch, config: LoopConfig, device: torch.device
) -> dict[str, float]:
    generator = torch.Generator(device).manual_seed(config.seed)
    model.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
        scores = component.validate(model, batch, generator)
    model.train()
    return scores


def _report(folder: Path, name: str, crops: int, loss: float, rate: float, scores: dict[str, float]) -> None:
    row = {"crops": crops, "loss": round(loss, 5), "crops_per_second": round(rate, 1)}
    row |= {k: round(v, 4) for k, v in scores.items()}
    logger.info("%s %s", name, row)
    with open(folder / "log.jsonl", "a") as log:
        log.write(json.dumps(row) + "\n")


def _save(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, step: int, config: LoopConfig
) -> None:
    state = {
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "config": asdict(config),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _resume(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    logger.info("resumed from %s at step %d", path, state["step"])
    return int(state["step"])


def load_average(component: Component, folder: Path) -> nn.Module:
    """The averaged model of the last checkpoint in `folder`, for export while the training goes on."""
    model = component.build()
    model.load_state_dict(torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)["average"])
    return model
