"""Reading and writing model folders as diffusers does: `config.json` beside safetensors, half precision on disk.

State dicts of other projects are read, too, and never executed: `weights_only`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from dynface_video.errors import ModelError

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin

Model = TypeVar("Model", bound="ModelMixin")
Network = TypeVar("Network", bound=nn.Module)

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


def load_state_dict(network: Network, path: Path, device: torch.device | str = "cpu") -> Network:
    """Fill a network with the state dict of a file as float32, frozen and in evaluation mode.

    Args:
        network: Its tensors have the names of the file, but for the prefix `module.` of parallel training.
        path: A state dict as `torch.save` writes it, or safetensors by the ending `.safetensors`.
        device: Where the network is moved.

    Raises:
        ModelError: The file is missing or damaged, holds more than tensors, or its tensors do not fit the network.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in _read_tensors(path).items()}
    wanted = network.state_dict()
    unfit = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    unfit += [name for name in tensors if name not in wanted or tensors[name].shape != wanted[name].shape]
    if unfit:
        raise ModelError(
            f"{path}: not the weights of {type(network).__name__}: {len(unfit)} tensors do not fit, first {unfit[0]!r}"
        )
    network.load_state_dict(tensors, strict=False)
    return network.float().to(device).eval().requires_grad_(False)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle, zipfile and safetensors raise many unrelated types here
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path}: cannot be read as a state dict: {reason}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ModelError(f"{path}: not a state dict, which maps names to tensors")
    return tensors


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
