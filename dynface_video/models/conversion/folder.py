"""Converted priors as folders: configuration, safetensors, and the digests of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dynface_video.errors import OVERWRITE, InputError, ModelError
from dynface_video.media.io.files import complete_folder, sha256_of
from dynface_video.models.conversion.guided_diffusion import ARCHITECTURES, Architecture, convert_unet, recognise
from dynface_video.models.unet_prior import UNetPrior
from dynface_video.pretrained import load_pretrained
from dynface_video.state_dict import read_state_dict

INDEX = "model_index.json"
ATTENTION_ORDER = "use_new_attention_order"
"""What a configuration may name besides the arguments of `UNetPrior`."""


@dataclass(frozen=True)
class ConvertedPrior:
    """The result of `convert_prior`.

    Attributes:
        folder: Where it is.
        architecture: Name of it.
        parameters: Number of them.
        tensors: Number of tensors of the checkpoint, all of which are in the folder.
        files: SHA-256 of each file.
    """

    folder: Path
    architecture: str
    parameters: int
    tensors: int
    files: Mapping[str, str]


def convert_prior(
    checkpoint: Path, folder: Path, *, config: Path | None = None, overwrite: bool = False
) -> ConvertedPrior:
    """Convert a published checkpoint of a prior to a folder.

    Args:
        checkpoint: As of `read_state_dict`.
        folder: It appears when it is complete.
        config: JSON file with the arguments of `UNetPrior` and, where it applies, `use_new_attention_order`; None for
            an architecture that is recognised by its tensors.
        overwrite: Replace the folder if it exists.

    Raises:
        InputError: A path cannot be used.
        ModelError: The checkpoint is not such a network.
    """
    check_new_folder(folder, INDEX, overwrite=overwrite)
    state = read_state_dict(checkpoint)
    name, architecture = _architecture(state, config)
    model = _converted(checkpoint, state, architecture)
    with complete_folder(folder) as temporary:
        model.save_pretrained(temporary)
        files = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        index = {
            "_class_name": type(model).__name__,
            "architecture": name,
            "source": {"file": checkpoint.name, "sha256": sha256_of(checkpoint), "tensors": len(state)},
            "files": files,
        }
        (temporary / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return ConvertedPrior(folder, name, sum(p.numel() for p in model.parameters()), len(state), files)


def check_new_folder(folder: Path, marker: str, *, overwrite: bool) -> None:
    """Check that a folder of models can be written.

    Args:
        folder: The folder.
        marker: A file that every such folder has; one without it is never replaced.
        overwrite: Replace the folder if it exists.

    Raises:
        InputError: It cannot.
    """
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} already exists; choose another folder or {OVERWRITE}")
    if folder.exists() and not (folder / marker).is_file():
        raise InputError(f"{folder} is not overwritten: it has no {marker}, so it was not written by this command")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{folder} cannot be written: its folder does not exist")


def load_prior(path: Path, device: torch.device | str = "cpu") -> UNetPrior:
    """Load a prior.

    Args:
        path: A folder of `convert_prior`, whose files must have their digests, or a checkpoint that is recognised.
        device: Where it is moved.

    Raises:
        ModelError: A file is missing, changed, or not such a network.
    """
    if path.is_dir():
        check_files(path)
        return load_pretrained(UNetPrior, path, device=device)
    state = read_state_dict(path)
    _, architecture = _architecture(state, None)
    return _converted(path, state, architecture).to(device)


def check_prior(path: Path) -> None:
    """Raise as `load_prior` where names and shapes show that it would fail; weights are neither read nor hashed."""
    if not path.is_dir():
        _architecture(read_state_dict(path), None)


def check_files(folder: Path) -> None:
    """Raise ModelError if a file of a converted folder is missing or has changed since it was written."""
    try:
        files = dict(json.loads((folder / INDEX).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: not a converted model ({INDEX}: {error})") from error
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: missing; convert the checkpoint again")
        if sha256_of(path) != digest:
            raise ModelError(f"{path}: damaged or changed (its SHA-256 is not the one in {INDEX}); convert again")


def _converted(path: Path, state: Mapping[str, torch.Tensor], architecture: Architecture) -> UNetPrior:
    try:
        return convert_unet(state, architecture)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _architecture(state: Mapping[str, torch.Tensor], config: Path | None) -> tuple[str, Architecture]:
    if config is None:
        name = recognise(state)
        return name, ARCHITECTURES[name]
    try:
        values = dict(json.loads(config.read_text(encoding="utf-8")))
        new_order = bool(values.pop(ATTENTION_ORDER, False))
        architecture = Architecture(config.name, values, split_heads_first=not new_order)
        with torch.device("meta"):
            UNetPrior(**values)
    except OSError as error:
        raise InputError(f"{config} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{config}: not the arguments of UNetPrior as a JSON object: {error}") from error
    return config.name, architecture
