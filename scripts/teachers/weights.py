"""Where the teachers' weights are, and how they are loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file
from torch import nn

from dynface_video.errors import ModelError

Teacher = TypeVar("Teacher", bound=nn.Module)


def teacher_folder(data: Path | None = None) -> Path:
    """The folder of the teachers' weights.

    Args:
        data: The data folder; None takes `DYNFACE_DATA`, by default `../shared/data`.

    Returns:
        Its part `teachers`, which need not exist.
    """
    return (data or Path(os.environ.get("DYNFACE_DATA", "../shared/data"))) / "teachers"


def load_teacher(network: Teacher, path: Path) -> Teacher:
    """Fill a network with a file's weights as float32, frozen and in evaluation mode.

    Args:
        network: A network whose parameters have the names of the file.
        path: A safetensors file.

    Returns:
        The same network.

    Raises:
        ModelError: The file is missing or its weights do not fit.
    """
    if not path.is_file():
        raise ModelError(f"{path}: the teacher's weights are missing; set DYNFACE_DATA or --data to the data folder")
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except RuntimeError as error:
        raise ModelError(f"{path}: not the weights of {type(network).__name__}: {error}") from error
    return network.eval().requires_grad_(False)
