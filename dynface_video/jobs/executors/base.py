"""What passes between the driver of a job and those who do its work: small records, never pictures.

This module imports nothing heavy: the driver, and the workers of tests and benchmarks, need no networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dynface_video.errors import DynfaceError
from dynface_video.jobs.plan import Segment

ANALYZE, RESTORE, ASSEMBLE = "analyze", "restore", "assemble"

LOST, NODE, MEMORY, DISK, ERROR, FATAL = "lost", "node", "memory", "disk", "error", "fatal"
"""Why a call failed: its process died, its machine went away, no memory, no disk space, anything else, anything that
trying again cannot mend."""


@dataclass(frozen=True)
class SegmentResult:
    """What restoring a segment took.

    faces: crops restored; seconds: wall time by stage; peak_memory, peak_gpu_memory: the most
    that the process has held so far, bytes; node: the machine's name; computed: false where it was found done already
    """

    number: int
    frames: int
    faces: int
    unet_evaluations: int
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()
    peak_memory: int = 0
    peak_gpu_memory: int = 0
    node: str = ""
    computed: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Call:
    """A piece of work for one process.

    video: its number in the batch; kind: ANALYZE, RESTORE or ASSEMBLE; segment: what to restore; attempt: from 1;
    batch: faces in one network evaluation, None as the settings say; losses: how often its machine went away;
    avoid: number of a worker that failed with it
    """

    video: int
    kind: str
    segment: Segment | None = None
    attempt: int = 1
    batch: int | None = None
    losses: int = 0
    avoid: int | None = None


@dataclass(frozen=True)
class Failure:
    """Why a call failed, as data: one bad segment does not end a job.

    kind: LOST, NODE, MEMORY, DISK, ERROR or FATAL; error: the exception, where it is one of ours
    """

    kind: str
    reason: str
    error: DynfaceError | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Outcome:
    """How a call ended. value: what it gave, where `failure` is None; worker: the number of who did it."""

    call: Call
    value: Any = None
    failure: Failure | None = None
    worker: int | None = None


class Performer(Protocol):
    """Does the calls of a video, in this process or another; it is sent to other processes by pickling."""

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Any) -> Any:
        """Do a call; returns a value or a `Failure`.

        cache: what earlier calls in this process have left for later ones; on_frame: told how many frames are done
        """

    def warm(self, cache: dict[str, Any]) -> None:
        """Load what calls will need, in a process that has nothing else to do yet."""

    def mark(self, call: Call) -> Path:
        """A file that is there while a call runs in the driver's process, and stays if the process dies of it."""


class Executor(Protocol):
    """Who does calls: this process, or a pool on Ray."""

    def register(self, video: int, performer: Performer) -> None:
        """Make a video known before its first call."""

    def release(self, video: int) -> None:
        """Forget a video; no call of it comes any more."""

    def takes(self, kind: str) -> bool:
        """Whether a call of this kind should be given now."""

    def submit(self, call: Call) -> None:
        """Take a call; `takes` must have said so."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The calls that have ended since; waits at most so long for the first."""

    @property
    def running(self) -> list[Call]:
        """Calls that were given and have not ended."""

    def close(self) -> None:
        """Stop at once; what runs is lost."""
