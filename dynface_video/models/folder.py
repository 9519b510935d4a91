"""Model folders in the diffusers manner: `config.json` beside `model.safetensors`, half precision on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from dynface_video.errors import ModelError

Model = TypeVar("Model", bound=nn.Module)

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def save_folder(model: nn.Module, config: dict[str, Any], folder: Path) -> None:
    """Write a model and what is needed to build it again; floating-point weights are stored as float16."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().to("cpu", torch.float16 if v.is_floating_point() else v.dtype).contiguous()
             for k, v in model.state_dict().items()}  # fmt: skip
    save_file(state, folder / f"{WEIGHTS}.tmp")
    # safetensors writes for the owner alone; an installed package is read by others too.
    (folder / f"{WEIGHTS}.tmp").chmod(0o644)
    os.replace(folder / f"{WEIGHTS}.tmp", folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def load_folder(folder: Path, build: Callable[[dict[str, Any]], Model], device: torch.device | str = "cpu") -> Model:
    """Build a model from `config.json` and load its weights as float32, frozen and in evaluation mode.

    Raises ModelError when a file is missing or the weights do not fit the configuration.
    """
    from safetensors.torch import load_file

    config = read_config(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{weights}: the weights of this model are missing; install the package again or train them")
    model = build(config)
    try:
        state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()}
        model.load_state_dict(state)
    except Exception as error:  # safetensors and torch raise several unrelated types here
        raise ModelError(f"{weights}: damaged, or not the weights of this configuration: {error}") from error
    return model.to(device).eval().requires_grad_(False)


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json` of a model folder; raises ModelError when there is none or it is not JSON."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no {CONFIG}: not a model folder") from error
    except json.JSONDecodeError as error:
        raise ModelError(f"{folder / CONFIG}: not JSON: {error}") from error
    return config
