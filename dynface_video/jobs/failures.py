"""Failures as data: what an error means for a job, and what to try next."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dynface_video.errors import DiskFullError, DynfaceError, SelectionError
from dynface_video.jobs.executors.base import DISK, ERROR, FATAL, MEMORY, NODE, Call, Failure

MAX_ATTEMPTS = 3
MAX_LOSSES = 10
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "no space" and "quota exceeded" errors of the block into an error that explains how to continue.

    Args:
        path: The job's directory, for the message.

    Raises:
        DiskFullError: The disk or the quota is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise DiskFullError(
            f"the disk that holds {path} is full; free some space and run the same command again: finished segments "
            "are kept"
        ) from error


def failure_of(error: Exception) -> Failure:
    """Describe an exception as data that can be sent to the driver.

    Args:
        error: What a call raised.
    """
    if isinstance(error, DiskFullError):
        return Failure(DISK, str(error))
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return Failure(MEMORY, text or "out of memory")
    if isinstance(error, DynfaceError):
        return Failure(ERROR, text, error)
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({frames[0].name}, line {frames[0].lineno} of {frames[0].filename})" if frames else ""
    return Failure(ERROR, f"{type(error).__name__}: {text or 'no message'}{place}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception means that the memory of the machine or of a GPU did not suffice.

    Args:
        error: What a call raised. PyTorch raises plain RuntimeErrors, so the message is searched.
    """
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)


def next_attempt(call: Call, failure: Failure, *, batch_size: int, worker: int | None) -> Call | None:
    """Decide whether and how to repeat a call that failed.

    Out of memory: half the batch, then one face at a time. A lost machine is not the segment's fault and costs no
    attempt. Selected people or times that are not in the video fail at once. Anything else is tried `MAX_ATTEMPTS`
    times in all, preferably by another worker.

    Args:
        call: The call that failed.
        failure: Why.
        batch_size: Faces per network evaluation by the settings.
        worker: Number of the worker that failed; None if unknown.

    Returns:
        The call to submit next; None to give up: the segment is quarantined.
    """
    if failure.kind == NODE:
        return replace(call, losses=call.losses + 1) if call.losses < MAX_LOSSES else None
    if isinstance(failure.error, SelectionError):
        return None
    repeated = replace(call, attempt=call.attempt + 1, avoid=worker)
    if failure.kind == MEMORY and call.segment is not None:
        batch = call.batch or batch_size
        if batch == 1:
            return None
        return replace(repeated, batch=max(1, batch_size // 2) if call.batch is None else 1)
    return repeated if call.attempt < MAX_ATTEMPTS and failure.kind not in (DISK, FATAL) else None
