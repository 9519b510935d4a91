"""The precision of the networks' arithmetic on a machine."""

from __future__ import annotations

from typing import Literal

import torch

from dynface_video.config import ExecutionSettings

Precision = Literal["float32", "bfloat16"]


def resolve_precision(execution: ExecutionSettings) -> Precision:
    """The precision that the settings mean on this machine.

    "auto" is bfloat16 on a CPU that computes with it, where it is faster at the same quality (docs/gpu-and-ray.md), and
    float32 elsewhere. Where a cluster's nodes restore, this machine's abilities say nothing, and it is float32.

    Args:
        execution: Where the work is done.
    """
    if execution.precision != "auto":
        return execution.precision
    here = execution.device == "cpu" or (execution.device == "auto" and not torch.cuda.is_available())
    return "bfloat16" if here and execution.address is None and cpu_computes_bfloat16() else "float32"


def cpu_computes_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers (AVX512-BF16 or AMX); others emulate it, slower than float32."""
    # PyTorch exposes these checks under private names only; where they are missing, float32 is used.
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check is not None)


def torch_dtype(precision: Precision) -> torch.dtype:
    """PyTorch's type of that name."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
