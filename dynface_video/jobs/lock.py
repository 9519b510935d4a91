"""One process at a time works on a job: an exclusive file lock beside the job's directory."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from filelock import lock_descriptor, unlock_descriptor

from dynface_video.errors import InputError

logger = logging.getLogger(__name__)

ATTEMPTS = 5
INTERVAL = 0.03
"""Seconds between attempts."""


def lock_path(job: Path) -> Path:
    """The lock file of a job.

    Its name is a digest of the directory's: prefixed and suffixed, a long name would exceed the file system's limit.

    Args:
        job: The job's directory.
    """
    return job.with_name(f".{hashlib.sha256(os.fsencode(job.name)).hexdigest()[:16]}.job.lock")


@contextmanager
def job_lock(job: Path) -> Iterator[None]:
    """Hold the exclusive right to work on a job.

    The operating system releases the lock when the process ends, however it ends. On a file system without locks,
    nothing is held.

    Args:
        job: The job's directory; it need not exist, its parent must.

    Raises:
        InputError: Another process holds the lock, or the lock file cannot be created.
    """
    path = lock_path(job)
    try:
        handle = _acquire(path, job)
    except OSError as error:
        raise InputError(f"cannot write to {job.parent} ({error.strerror})") from error
    try:
        yield
    finally:
        _release(handle, path)


def is_locked(job: Path) -> bool:
    """Whether a process is working on a job.

    Args:
        job: The job's directory.
    """
    try:
        with open(lock_path(job)) as handle:
            # Another status query may hold the lock for an instant; a run holds it throughout.
            for _ in range(ATTEMPTS):
                if lock_descriptor(handle.fileno(), blocking=False):
                    unlock_descriptor(handle.fileno())
                    return False
                time.sleep(INTERVAL / ATTEMPTS)
            return True
    except OSError:
        return False


def _acquire(path: Path, job: Path) -> TextIO:
    for _ in range(ATTEMPTS):
        handle = open(path, "a")  # noqa: SIM115 - closed by _release
        try:
            _lock(handle, job)
        except InputError:
            handle.close()
            raise
        # The previous holder may have deleted the file between our opening and locking it.
        if _is_same_file(path, handle):
            return handle
        handle.close()
    raise _locked(job)


def _lock(handle: TextIO, job: Path) -> None:
    for _ in range(ATTEMPTS):
        try:
            if lock_descriptor(handle.fileno(), blocking=False):
                return
        except OSError as error:
            logger.debug("%s does not support locks (%s)", job.parent, error)
            return
        # A status query holds the lock for an instant too.
        time.sleep(INTERVAL)
    raise _locked(job)


def _locked(job: Path) -> InputError:
    return InputError(f"another run is working on {job}; wait for it or choose another output")


def _release(handle: TextIO, path: Path) -> None:
    # Deleting first leaves no moment in which another process holds a lock on a file that is about to go. Windows
    # does not delete an open file: there it goes afterwards, unless another process has opened it.
    with suppress(OSError):
        path.unlink(missing_ok=True)
    handle.close()
    with suppress(OSError):
        if os.name == "nt":
            path.unlink(missing_ok=True)


def _is_same_file(path: Path, handle: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False
