"""How many workers a machine or a cluster has room for."""

from __future__ import annotations

import os

from dynface_video.config import ExecutionSettings

CORES_PER_WORKER = 2
"""Of `workers: auto` on CPUs: one for the networks, one for decoding, pasting and encoding."""


def local_workers(execution: ExecutionSettings) -> int | None:
    """Number of workers of a job; None if it depends on a cluster that is not joined yet.

    Args:
        execution: Its settings.

    Returns:
        The number in the settings; for `auto`, one per share of a GPU, or one per `CORES_PER_WORKER` cores of this
        machine; None for `auto` on a cluster.
    """
    if execution.workers != "auto":
        return execution.workers
    if execution.address is not None:
        return None
    if execution.device not in ("auto", "cpu", "cuda"):
        return 1
    return workers_for(execution, cores=_cores(), gpus=_gpus_used(execution))


def local_cpus(execution: ExecutionSettings, workers: int) -> int:
    """CPUs that a Ray cluster of this machine alone is started with.

    Args:
        execution: The settings of the job.
        workers: Number of workers, each of which takes a CPU.

    Returns:
        One per worker; more with GPUs, since first passes and joining run on CPUs beside the workers.
    """
    return max(_cores(), workers + 1) if _gpus_used(execution) else workers


def workers_for(execution: ExecutionSettings, *, cores: float, gpus: float) -> int:
    """Number of workers for `workers: auto`, at least 1.

    Args:
        execution: The settings of the job.
        cores: CPU cores.
        gpus: GPUs to use; 0 to restore on CPUs.
    """
    if gpus:
        return max(1, int(gpus / execution.gpus_per_worker + 1e-6))
    return max(1, int(cores) // max(CORES_PER_WORKER, execution.threads))


def _cores() -> int:
    # Containers and schedulers give a process fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus_used(execution: ExecutionSettings) -> int:
    return 0 if execution.device in ("cpu", "mps") else _gpus()


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
