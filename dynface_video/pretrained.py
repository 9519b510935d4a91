"""Reading and writing model folders as diffusers does: `config.json` beside safetensors, half precision on disk.

The package's own networks are `PretrainedModel`s, which need torch alone: importing diffusers' `ModelMixin` takes
longer than importing torch, and every command would wait for it.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dynface_video.errors import ModelError
from dynface_video.state_dict import read_state_dict

Model = TypeVar("Model")
Network = TypeVar("Network", bound=nn.Module)
Own = TypeVar("Own", bound="PretrainedModel")

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
CLASS_NAME = "_class_name"


class ModelConfig(Mapping[str, Any]):
    """The arguments that a network was made with, by name or as attributes; it cannot be changed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        # `copy` and `pickle` ask for attributes of objects that have none yet.
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise AttributeError(f"the configuration has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"the configuration cannot be changed: {name!r}; see PretrainedModel.update_config")

    def __repr__(self) -> str:
        return f"ModelConfig({self._values})"


def configured(init: Callable[..., None]) -> Callable[..., None]:
    """Decorates `__init__` of a `PretrainedModel`: its arguments, defaults included, become `config`."""

    @functools.wraps(init)
    def wrapped(self: PretrainedModel, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(init).bind(self, *args, **kwargs)
        bound.apply_defaults()
        # Before `nn.Module.__init__`, so that a network can be built from its configuration.
        object.__setattr__(self, "config", ModelConfig(dict(list(bound.arguments.items())[1:])))
        init(self, *args, **kwargs)

    return wrapped


class PretrainedModel(nn.Module):
    """A network that is made from its configuration alone, and that a model folder holds.

    A subclass decorates its `__init__` with `configured`. The folder is that of a diffusers model.
    """

    config: ModelConfig
    channels_last = False
    """Whether the network is given that memory format on a CPU; see `to_device`."""

    @classmethod
    def from_config(cls: type[Own], config: Mapping[str, Any], **changes: Any) -> Own:
        """A network without trained weights.

        Args:
            config: Arguments of the class; those that begin with an underscore say who wrote the file.
            changes: Other arguments, which take precedence.

        Raises:
            TypeError: The class has no such argument.
        """
        return cls(**{name: value for name, value in config.items() if not name.startswith("_")} | changes)

    @classmethod
    def from_pretrained(cls: type[Own], folder: Path | str) -> Own:
        """As `load_pretrained`, onto the CPU."""
        return load_pretrained(cls, Path(folder))

    def update_config(self, **changes: Any) -> None:
        """Update `config` without changing the network."""
        object.__setattr__(self, "config", ModelConfig({**self.config, **changes}))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write weights, in their own precision, and configuration into a folder, which is made if it is missing."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        # safetensors writes for the owner alone; an installed package is read by others too.
        (folder / WEIGHTS).chmod(0o644)
        described = {CLASS_NAME: type(self).__name__, **self.config}
        (folder / CONFIG).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_pretrained(model_class: type[Model], folder: Path, device: torch.device | str = "cpu") -> Model:
    """Load a local model folder as float32, frozen and in evaluation mode. Nothing is ever downloaded.

    Args:
        model_class: A `PretrainedModel`, or any class with diffusers' `from_pretrained`, such as a `ModelMixin`.
        folder: Holds `config.json` and `diffusion_pytorch_model.safetensors`.
        device: Where the model is moved.

    Raises:
        ModelError: A file is missing or damaged, or the weights do not fit the configuration.
    """
    _check_present(folder)
    own = issubclass(model_class, PretrainedModel)
    read: Any = _read_own(model_class, folder) if own else _read_foreign(model_class, folder)
    loaded: Model = to_device(read, device).eval().requires_grad_(False)
    return loaded


def to_device(network: Network, device: torch.device | str) -> Network:
    """The network on a device; one with `channels_last` has that memory format on a CPU, all others are contiguous.

    Convolutions of channels-last tensors take less time on a CPU (docs/gpu-and-ray.md); results differ by rounding.
    Networks of other projects may reshape by `Tensor.view`, which fails on such tensors.
    """
    suits = torch.device(device).type == "cpu" and getattr(network, "channels_last", False)
    layout = torch.channels_last if suits else torch.contiguous_format
    return network.to(device=torch.device(device), memory_format=layout)  # type: ignore[call-overload]


def layout_of(layer: nn.Conv2d) -> torch.memory_format:
    """The memory format of a convolution's weights, and so of what it returns."""
    last = layer.weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def check_folder(folder: Path) -> ModelConfig:
    """Check a model folder as far as that is possible without making the network.

    Args:
        folder: As of `load_pretrained`.

    Returns:
        Its configuration.

    Raises:
        ModelError: A file is missing or damaged.
    """
    from safetensors import safe_open

    _check_present(folder)
    try:
        described = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        # Reads the names and places of the tensors, and compares them with the length of the file.
        with safe_open(folder / WEIGHTS, framework="pt"):
            return ModelConfig(described)
    except Exception as error:  # safetensors raises an exception of its own, and many of Python's
        raise ModelError(f"{folder}: damaged: {error}") from error


def _check_present(folder: Path) -> None:
    for name in (CONFIG, WEIGHTS):
        # diffusers would look for a missing file on the Hub, under the folder's name.
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing from the model folder; reinstall the package or train it again")


def _read_own(model_class: Any, folder: Path) -> PretrainedModel:
    from safetensors.torch import load_file

    try:
        described = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model, tensors = model_class.from_config(described), load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors, torch and the networks raise several unrelated types here
        raise ModelError(f"{folder}: damaged, or the weights do not fit {CONFIG}: {error}") from error
    _fill(model, tensors, folder)
    filled: PretrainedModel = model
    return filled


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    wanted = model.state_dict()
    unfit = [name for name in wanted if name not in tensors]
    unfit += [name for name in tensors if name not in wanted or tensors[name].shape != wanted[name].shape]
    if unfit:
        raise ModelError(f"{folder / WEIGHTS}: {len(unfit)} tensors do not fit {CONFIG}, first {unfit[0]!r}")
    model.load_state_dict(tensors)


def _read_foreign(model_class: Any, folder: Path) -> nn.Module:
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
    read: nn.Module = model
    return read


def load_state_dict(network: Network, path: Path, device: torch.device | str = "cpu") -> Network:
    """Fill a network with the state dict of a file as float32, frozen and in evaluation mode.

    Args:
        network: Its tensors have the names that `read_state_dict` gives them.
        path: As of `read_state_dict`.
        device: Where the network is moved.

    Raises:
        ModelError: The file is missing or damaged, holds more than tensors, or its tensors do not fit the network.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    tensors = read_state_dict(path)
    wanted = network.state_dict()
    unfit = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    unfit += [name for name in tensors if name not in wanted or tensors[name].shape != wanted[name].shape]
    if unfit:
        raise ModelError(
            f"{path}: not the weights of {type(network).__name__}: {len(unfit)} tensors do not fit, first {unfit[0]!r}"
        )
    network.load_state_dict(tensors, strict=False)
    return to_device(network.float(), device).eval().requires_grad_(False)


def save_pretrained(model: nn.Module, folder: Path) -> None:
    """Write a model and its configuration; floating-point weights are stored as float16, the model itself is kept."""
    from copy import deepcopy

    if not isinstance(model, PretrainedModel):
        raise TypeError(f"{type(model).__name__} is not a PretrainedModel")
    deepcopy(model).cpu().half().save_pretrained(folder)
