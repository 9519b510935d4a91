"""Times of calls on a device, and the share of them in which the device works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

MOST_CALLS = 50
TABLE_ROWS = 40


def now(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_a_call(function: Callable[[], object], device: torch.device, *, window: float) -> float:
    """Mean time of calls that follow one another without waiting, after two that do not count.

    Args:
        function: What is timed.
        device: Where it works.
        window: Seconds that it is repeated for, roughly.
    """
    function()
    began = now(device)
    function()
    once = now(device) - began
    if once >= window:
        return once
    count = max(1, min(MOST_CALLS, round(window / max(once, 1e-6))))
    began = now(device)
    for _ in range(count):
        function()
    return (now(device) - began) / count


@dataclass(frozen=True)
class Activity:
    """What the profiler saw of a call.

    Attributes:
        busy: Seconds in which a kernel or a copy ran on the device; None where no device was seen.
        wall: Seconds of the call while it was observed, which makes it slower.
        kernels: How many kernels and copies.
    """

    busy: float | None
    wall: float
    kernels: int

    def share_of(self, seconds: float) -> float | None:
        """Share of the time of an unobserved call in which the device is busy, in [0, 1]."""
        return None if self.busy is None else min(1.0, self.busy / seconds)


def observe(function: Callable[[], object], device: torch.device, path: Path, *, operations: bool = True) -> Activity:
    """Profile one call.

    Args:
        function: What is observed.
        device: Where it works.
        path: Where the table is written.
        operations: Whether PyTorch's operations are noted beside the kernels: reading thousands of them takes seconds.
    """
    activities = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    if operations or not activities:
        activities.append(ProfilerActivity.CPU)
    with profile(activities=activities) as seen:
        began = now(device)
        function()
        wall = now(device) - began
    events = [event for event in seen.events() if event.device_type == DeviceType.CUDA]
    # Ranges that somebody has named span the gaps between kernels.
    events = [event for event in events if not getattr(event, "is_user_annotation", False)]
    spans = [(event.time_range.start, event.time_range.end) for event in events]
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    table = seen.key_averages().table(sort_by=order, row_limit=TABLE_ROWS, max_name_column_width=60)
    busy = covered(spans) / 1e6 if spans else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"wall {wall:.4f} s, device busy {busy} s, {len(spans)} kernels and copies\n\n{table}\n")
    return Activity(busy, wall, len(spans))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


@contextmanager
def tf32(convolutions: bool, products: bool) -> Iterator[None]:
    """Allow TF32 for convolutions and for matrix products inside the block."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
