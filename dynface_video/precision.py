"""The precision of the networks' arithmetic on a machine."""

from __future__ import annotations

from typing import Literal

import torch

from dynface_video.config import ExecutionSettings

Precision = Literal["float32", "bfloat16"]

BFLOAT16_CAPABILITY = (8, 0)
"""CUDA compute capability from which on a GPU has bfloat16 units (Ampere)."""


def resolve_precision(execution: ExecutionSettings) -> Precision:
    """The precision that the settings mean on this machine.

    "auto" is bfloat16 on a CPU or on CUDA GPUs that compute with it, where it is no slower at the same quality
    (docs/gpu-and-ray.md), and float32 elsewhere. Where a cluster's nodes restore, this machine's abilities say nothing,
    and it is float32.

    Args:
        execution: Where the work is done.
    """
    if execution.precision != "auto":
        return execution.precision
    return "bfloat16" if execution.address is None and _computes_bfloat16(execution.device) else "float32"


def _computes_bfloat16(device: str) -> bool:
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return cpu_computes_bfloat16()
    if device == "auto" or device.startswith("cuda"):
        return gpus_compute_bfloat16(None if device in ("auto", "cuda") else torch.device(device).index)
    return False


def cpu_computes_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers (AVX512-BF16 or AMX); others emulate it, slower than float32."""
    # PyTorch exposes these checks under private names only; where they are missing, float32 is used.
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check is not None)


def gpus_compute_bfloat16(index: int | None = None) -> bool:
    """Whether CUDA GPUs of this machine multiply bfloat16 numbers; AMD's, which PyTorch also calls CUDA, do not count.

    Args:
        index: Of one GPU; None for all that PyTorch sees: each of several workers gets one of them.
    """
    # Nobody has measured it with ROCm, whose capabilities are other numbers.
    count = torch.cuda.device_count() if torch.version.hip is None else 0
    used = range(count) if index is None else range(index, min(index + 1, count))
    return len(used) > 0 and all(torch.cuda.get_device_capability(one) >= BFLOAT16_CAPABILITY for one in used)


def torch_dtype(precision: Precision) -> torch.dtype:
    """PyTorch's type of that name."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
