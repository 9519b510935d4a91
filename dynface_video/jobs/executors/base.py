"""What passes between the driver of a job and the processes that work for it: small records, never pictures.

This module imports nothing heavy: the driver, and the workers of tests and benchmarks, need no networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dynface_video.errors import DynfaceError
from dynface_video.jobs.plan import Segment

ANALYZE, RESTORE, ASSEMBLE = "analyze", "restore", "assemble"
"""Kinds of calls: the first pass, one segment of the second, and joining the segments."""

LOST, NODE, MEMORY, DISK, ERROR, FATAL = "lost", "node", "memory", "disk", "error", "fatal"
"""Kinds of failures: the process died, its machine was lost, out of memory, disk full, any other error, and an error
that another attempt cannot fix."""


@dataclass(frozen=True)
class SegmentResult:
    """The record of a restored segment.

    Args:
        number: Of the segment.
        frames: Its length.
        faces: Crops restored.
        unet_evaluations: Network evaluations of the prior.
        seconds: Time by step: decode, crops, regression, sampling, temporal, paste, encode. The steps overlap;
            of a step with several threads it is their sum.
        warnings: For the user, each once.
        peak_memory: Most memory that the process has held so far, bytes.
        peak_gpu_memory: The same on the GPU, bytes.
        node: The machine's name.
        computed: False if an earlier call had restored it.
        elapsed: Wall time.
        drawn_faces: Crops restored in which the prior drew detail.
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
    elapsed: float = 0.0
    drawn_faces: int = 0


@dataclass(frozen=True)
class Call:
    """A piece of work for one process.

    Args:
        video: Number of the video in the batch.
        kind: ANALYZE, RESTORE or ASSEMBLE.
        segment: What to restore; None for the other kinds.
        attempt: Counted from 1.
        batch: Faces per network evaluation; None for the settings' number.
        losses: How often its machine was lost.
        avoid: Number of a worker that failed with it.
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

    Args:
        kind: LOST, NODE, MEMORY, DISK, ERROR or FATAL.
        reason: For the user.
        error: The exception, if it is one of this package's.
    """

    kind: str
    reason: str
    error: DynfaceError | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Args:
        call: The call.
        value: Its result, if `failure` is None.
        failure: Why it failed.
        worker: Number of the worker; None outside a pool.
    """

    call: Call
    value: Any = None
    failure: Failure | None = None
    worker: int | None = None


class Performer(Protocol):
    """Executes the calls of one video, in this process or in another, to which it is sent by pickling."""

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Callable[[int], None]) -> Any:
        """Execute a call.

        Args:
            call: The call.
            cache: Of this process: what earlier calls left for later ones, such as models.
            on_frame: Called with the number of frames done.

        Returns:
            A value or a `Failure`.
        """

    def preload(self, cache: dict[str, Any]) -> None:
        """Load what calls will need, in a process that has no call yet.

        Args:
            cache: As in `perform`.
        """

    def crash_marker(self, call: Call) -> Path:
        """A file that exists while a call runs in the driver's own process, and remains if the process dies in it.

        Args:
            call: The call.
        """


class Executor(Protocol):
    """Runs calls: one after the other in this process, or in parallel in a pool."""

    def register(self, video: int, performer: Performer) -> None:
        """Make a video known before its first call.

        Args:
            video: Its number in the batch.
            performer: Executes its calls.
        """

    def release(self, video: int) -> None:
        """Forget a video that has no more calls.

        Args:
            video: Its number in the batch.
        """

    def has_capacity(self, kind: str) -> bool:
        """Whether a call should be submitted now.

        Args:
            kind: ANALYZE, RESTORE or ASSEMBLE.
        """

    def submit(self, call: Call) -> None:
        """Accept a call.

        Args:
            call: Of a kind for which `has_capacity` is true.
        """

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the calls that have ended.

        Args:
            seconds: How long to wait for the first, at most.
        """

    @property
    def running(self) -> list[Call]:
        """Calls that were submitted and have not ended."""

    def close(self) -> None:
        """Stop at once; running calls are lost."""
