"""Reading and writing model folders as diffusers does: `config.json` beside safetensors, half precision on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from dynface_video.errors import ModelError

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin

Model = TypeVar("Model", bound="ModelMixin")

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def load_pretrained(model_class: type[Model], folder: Path, device: torch.device | str = "cpu") -> Model:
    """Load a local model folder as float32, frozen and in evaluation mode. Nothing is ever downloaded.

    Args:
        model_class: a `ModelMixin` with a `ConfigMixin` configuration.
        folder: holds `config.json` and `diffusion_pytorch_model.safetensors`.
        device: where the model is moved.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the configuration.
    """
    for name in (CONFIG, WEIGHTS):
        # diffusers would look for a missing file on the Hub, under the folder's name.
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing from the model folder; reinstall the package or train it again")
    try:
        model, info = model_class.from_pretrained(
            str(folder),
            torch_dtype=torch.float32,
            local_files_only=True,
            low_cpu_mem_usage=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors, torch and diffusers raise several unrelated types here
        raise ModelError(f"{folder}: damaged, or the weights do not fit {CONFIG}: {error}") from error
    unfit = [*info["missing_keys"], *info["unexpected_keys"]]
    if unfit:
        raise ModelError(f"{folder / WEIGHTS}: {len(unfit)} tensors do not fit {CONFIG}, first {unfit[0]!r}")
    loaded: Model = model.to(device).eval().requires_grad_(False)
    return loaded


def save_pretrained(model: ModelMixin, folder: Path) -> None:
    """Write a model and its configuration; floating-point weights are stored as float16, the model itself is kept."""
    from copy import deepcopy

    deepcopy(model).cpu().half().save_pretrained(str(folder), safe_serialization=True)
    # Where the model was loaded from is a path of this machine and no part of the configuration.
    config = json.loads((folder / CONFIG).read_text())
    config.pop("_name_or_path", None)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    # safetensors writes for the owner alone; an installed package is read by others too.
    (folder / WEIGHTS).chmod(0o644)
