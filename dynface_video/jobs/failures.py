"""Failures as data: what an error means for a job, and what is tried next."""

from __future__ import annotations

import traceback
from dataclasses import replace

from dynface_video.errors import DiskFullError, DynfaceError
from dynface_video.jobs.executors.base import DISK, ERROR, FATAL, MEMORY, NODE, Call, Failure

ATTEMPTS = 3
MOST_LOSSES = 10
NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def failure_of(error: Exception) -> Failure:
    """What an exception says, as data."""
    if isinstance(error, DiskFullError):
        return Failure(DISK, str(error))
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return Failure(MEMORY, text or "out of memory")
    if isinstance(error, DynfaceError):
        return Failure(ERROR, text, error)
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({where[0].name}, line {where[0].lineno} of {where[0].filename})" if where else ""
    return Failure(ERROR, f"{type(error).__name__}: {text or 'no message'}{place}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory, of the machine or of a GPU, did not suffice."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)


def next_try(call: Call, failure: Failure, *, batch_size: int, worker: int | None) -> Call | None:
    """The call that is worth trying after a failure; None when there is none: the segment goes into quarantine.

    Out of memory: half the batch, then one face at a time. A machine that went away is not the segment's fault and
    costs no attempt; anything else is tried `ATTEMPTS` times, rather by another worker.
    batch_size: of the settings; worker: who failed
    """
    if failure.kind == NODE:
        return replace(call, losses=call.losses + 1) if call.losses < MOST_LOSSES else None
    again = replace(call, attempt=call.attempt + 1, avoid=worker)
    if failure.kind == MEMORY and call.segment is not None:
        batch = call.batch or batch_size
        if batch == 1:
            return None
        return replace(again, batch=max(1, batch_size // 2) if call.batch is None else 1)
    return again if call.attempt < ATTEMPTS and failure.kind not in (DISK, FATAL) else None
