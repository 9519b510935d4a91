"""The library's own exceptions; each message names what is wrong, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynface_video.passes.analysis import Analysis

OVERWRITE = "allow overwriting (--overwrite, in Python overwrite=True)"
RESTART = "start over (--restart, in Python resume=False)"
"""What to do, in the words of the command line and of the Python API; messages end with them."""
MODELS_EXTRA = "pip install 'dynface-video[models]'"
"""Installs spandrel, which reads restorers of other projects."""

INCOMPLETE = "the source is cut off or damaged: {}; the rest is restored"
"""About an output that lacks something, such as "1.6 s of video is missing"."""


class DynfaceError(Exception):
    """Base of every error that this library raises on purpose."""

    exit_code = 1


class InputError(DynfaceError):
    """The input, an option or an output path cannot be used as given (command line: exit 2)."""

    exit_code = 2


class SelectionError(InputError):
    """The people or times that were selected are not in the video: no other attempt would find them.

    Attributes:
        found: The analysis of the video with everybody selected, where a first pass had to find that out and its result
            is kept nowhere else (`analyze_video`, `list_people`, `iter_restored_frames`); None otherwise.
    """

    found: Analysis | None = None


class ModelError(DynfaceError):
    """Weights are missing, damaged, or do not fit what they are asked to do."""


class JobError(DynfaceError):
    """A restoration could not be finished; finished work on disk stays valid."""


class DiskFullError(JobError):
    """There is no space left on the disk."""


class JobMismatchError(JobError):
    """An unfinished job with other conditions is in the way (command line: exit 2)."""

    exit_code = 2


class Interrupted(KeyboardInterrupt):
    """A signal stopped a job; finished work on disk stays valid."""

    def __init__(self, signal: int) -> None:
        """signal: its number, for instance 2 for Ctrl-C and 15 for a scheduler's SIGTERM."""
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal
