"""Which torch device the networks run on."""

from __future__ import annotations

import functools
import logging
import os

import torch

from dynface_video.errors import InputError

logger = logging.getLogger(__name__)

MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def resolve_device(name: str) -> torch.device:
    """The torch device of a name: "auto" is the first CUDA GPU if torch sees one, else the CPU.

    Raises InputError for a device that torch does not know or does not see.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _unknown(name) from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise _unknown(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r} not found: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu")
    if device.type == "mps":
        if not torch.backends.mps.is_available():
            raise InputError(f"device {name!r} not found: torch sees no Apple GPU; use auto or cpu")
        _log_mps_fallback()
    return device


def _unknown(name: str) -> InputError:
    return InputError(f"unknown torch device {name!r}; use auto, cpu, cuda, cuda:N or mps")


@functools.cache
def _log_mps_fallback() -> None:
    """Log once how operations that the Apple GPU lacks are executed; the package sets the variable on import."""
    if os.environ.get(MPS_FALLBACK) == "1":
        logger.info("operations that the Apple GPU (mps) does not support run on the CPU")
    else:
        logger.warning("operations that the Apple GPU (mps) does not support will fail; set %s=1", MPS_FALLBACK)
