"""A full disk, told as what it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dynface_video.errors import DiskFullError

FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """ "No space" and "quota exceeded" become a DiskFullError that says how to go on; path: of the job's directory."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFullError(
            f"the disk that holds {path} is full; free some space and run the same command again: finished segments "
            "are kept"
        ) from error
