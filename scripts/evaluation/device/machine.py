"""What the device is, and what it reaches at most."""

from __future__ import annotations

import os
import platform

import torch

from evaluation.device.report import Clock, Report
from evaluation.device.scale import Bench
from evaluation.device.timing import seconds_a_call


def describe(bench: Bench, report: Report, clock: Clock) -> None:
    """Device, versions, and the peaks that shares are given of: products of matrices, and copies."""
    device = bench.device
    facts: dict[str, object] = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "CPU cores": os.cpu_count(),
    }
    facts["CPU threads of torch"] = torch.get_num_threads()
    if device.type == "cuda":
        seen = torch.cuda.get_device_properties(device)
        facts |= {"device": seen.name, "memory, GiB": round(seen.total_memory / 2**30, 1)}
        facts |= {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    report.figures["machine"] = facts
    report.say(", ".join(f"{name} {value}" for name, value in facts.items()))
    side = bench.scale.matrix
    rows = []
    for dtype in (torch.bfloat16, torch.float32):
        a = torch.randn(side, side, device=device, dtype=dtype)
        seconds = seconds_a_call(lambda a=a: a @ a, device, window=bench.scale.window)  # type: ignore[misc]
        rows.append(
            [f"product of {side} x {side} in {str(dtype).rpartition('.')[2]}, TFLOP/s", 2 * side**3 / seconds / 1e12]
        )
    values = torch.zeros(bench.scale.copied, device=device)
    other = torch.empty_like(values)
    seconds = seconds_a_call(lambda: other.copy_(values), device, window=bench.scale.window)
    rows.append(["copy on the device, read and written, GB/s", 8 * bench.scale.copied / seconds / 1e9])
    here = torch.zeros(bench.scale.copied // 16)
    seconds = seconds_a_call(lambda: here.to(device), device, window=bench.scale.window)
    rows.append(["copy to the device, pageable, GB/s", 4 * len(here) / seconds / 1e9])
    report.table("peak", ["what", "value"], rows)
