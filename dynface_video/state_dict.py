"""Reading published checkpoints: tensors alone, under the names that their networks gave them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynface_video.errors import InputError, ModelError

AVERAGED = ("params_ema", "params-ema", "ema", "ema_state_dict", "state_dict_ema", "model_ema")
PLAIN = ("state_dict", "model_state_dict", "params", "model", "net")
PREFIXES = ("module.", "_orig_mod.")
"""What data-parallel training and torch.compile put before every name."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint; the averaged ones (EMA) where it holds both.

    Pickles are read with `weights_only=True`: a file that would run code is refused.

    Args:
        path: A `.safetensors` file, or what `torch.save` wrote.

    Returns:
        Tensors on the CPU by name, without `module.`.

    Raises:
        InputError: There is no such file.
        ModelError: It is not a checkpoint, or holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    found = _tensors(_read(path))
    if not found:
        raise ModelError(f"{path}: no weights in it; a state dict was expected")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # Mapped where the format allows it: who looks at names and shapes alone reads no weights.
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: refused, because it is not a checkpoint of tensors alone: {reason}") from error
    except Exception as error:  # torch and safetensors raise a dozen unrelated types for damaged files
        raise ModelError(f"{path}: damaged, or not a checkpoint: {' '.join(str(error).split())[:200]}") from error


def _tensors(content: Any) -> dict[str, Tensor]:
    """The state dict in a checkpoint, unwrapped."""
    for _ in range(3):
        if not isinstance(content, Mapping):
            return {}
        inner = next((name for name in (*AVERAGED, *PLAIN) if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        content = content[inner]
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
