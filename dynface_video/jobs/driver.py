"""The driver: distributes the calls of several videos to one executor, and decides what a failure means.

Every video passes three stages: one call analyses it, one call per segment restores it, one call joins the segments.
The longest videos begin; those in progress are finished before others are opened. While one waits for its last segments
or is being joined, the next one's segments are submitted, so that no worker is idle.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dynface_video.errors import DiskFullError, DynfaceError, JobError
from dynface_video.jobs.estimate import format_bytes
from dynface_video.jobs.executors.base import (
    ANALYZE,
    ASSEMBLE,
    DISK,
    FATAL,
    RESTORE,
    Call,
    Executor,
    Failure,
    Outcome,
    Performer,
)
from dynface_video.jobs.failures import next_attempt
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.signals import StopRequest

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between updates of the progress."""
MAX_ANALYZED = 100
"""Videos that are analysed ahead of the restoration, at most."""
MAX_CONSECUTIVE_FAILURES = 100
MAX_NAMED = 5
"""Quarantined segments that an error message names."""


class VideoTask(Protocol):
    """A video as the driver sees it.

    Attributes:
        name: For messages.
        weight: Expected effort, in any unit: the heaviest video begins.
        batch_size: Faces per network evaluation by the settings.
    """

    name: str
    weight: float
    batch_size: int

    def begin(self) -> Performer:
        """Open the job's directory.

        Raises:
            DynfaceError: It cannot be used.
        """

    def is_analyzed(self) -> bool:
        """Whether the first pass is done."""

    def unfinished_segments(self) -> Sequence[Segment]:
        """The segments to restore, in order; known after the first pass."""

    def record_outcome(self, outcome: Outcome) -> None:
        """Take note of a call that ended."""

    def update_progress(self) -> None:
        """Publish the progress; called about once a second."""

    def disk_needed(self) -> int:
        """Bytes that the rest of the job will probably take."""

    def finish(self) -> None:
        """Publish the output, which is complete, and end the job."""

    def fail(self, error: DynfaceError) -> None:
        """End the job for now; finished segments are kept."""

    def suspend(self) -> None:
        """Release the job's directory because the run was stopped."""


@dataclass(eq=False)
class _Video:
    task: VideoTask
    number: int
    pending: deque[Call] = field(default_factory=deque)
    running: int = 0
    quarantined: list[str] = field(default_factory=list)


class Driver:
    """Drives several videos through one executor."""

    def __init__(self, tasks: Sequence[VideoTask], executor: Executor, stop: StopRequest) -> None:
        """Create a driver.

        Args:
            tasks: The videos; no two share an output.
            executor: Runs their calls.
            stop: Checked between calls.
        """
        self._executor, self._stop = executor, stop
        stop.finishing = self._finishing
        by_weight = sorted(range(len(tasks)), key=lambda i: -tasks[i].weight)
        self._new = deque(_Video(tasks[i], i) for i in by_weight)
        self._open: dict[int, _Video] = {}
        self._analyzed: deque[_Video] = deque()
        self._restoring: list[_Video] = []
        self._restored: deque[_Video] = deque()
        self._retries: deque[Call] = deque()
        self._consecutive_failures = 0
        self._disk_full: Failure | None = None

    def run(self) -> None:
        """Work until all videos are done or have failed; finished segments are kept in any case.

        Raises:
            Interrupted: A stop was requested.
            DiskFullError: The disk is full.
            JobError: `MAX_CONSECUTIVE_FAILURES` calls failed in a row.
        """
        try:
            while self._submit_calls() or self._executor.running:
                for outcome in self._executor.wait(TICK):
                    self._handle_outcome(outcome)
                for video in list(self._open.values()):
                    video.task.update_progress()
                if self._has_stopped():
                    break
        finally:
            for video in self._open.values():
                video.task.suspend()
        self._stop.check()
        if self._disk_full is not None:
            raise DiskFullError(self._disk_full.reason)

    def _has_stopped(self) -> bool:
        """Whether to abandon what still runs: after a stop, first passes are not waited for."""
        stopping = self._stop.requested or self._disk_full is not None
        return stopping and not any(call.kind != ANALYZE for call in self._executor.running)

    def _finishing(self) -> str:
        """What is finished before a stop, for the user."""
        segments = [call.segment for call in self._executor.running if call.segment is not None]
        if len(segments) == 1:
            return f"frames {segments[0].start} to {segments[0].stop - 1}"
        if segments:
            return f"the {len(segments)} segments under way"
        return "joining the segments" if any(call.kind == ASSEMBLE for call in self._executor.running) else ""

    def _submit_calls(self) -> bool:
        """Submit calls while the executor has capacity; returns whether any are left."""
        executor = self._executor
        while not self._stop.requested and self._disk_full is None:
            if executor.has_capacity(ASSEMBLE) and self._restored:
                video = self._restored.popleft()
                self._submit(video, Call(video.number, ASSEMBLE))
            elif self._retries and executor.has_capacity(self._retries[0].kind):
                call = self._retries.popleft()
                self._submit(self._open[call.video], call)
            elif executor.has_capacity(RESTORE) and (found := self._next_segment()) is not None:
                self._submit(*found)
            elif executor.has_capacity(ASSEMBLE) and self._restored:
                # A resumed video may have no segment left: looking for one has made it ready to be joined.
                continue
            elif not (executor.has_capacity(ANALYZE) and self._begin_next()):
                break
        waiting = self._restored or self._retries or self._analyzed or self._new
        return bool(waiting or any(video.pending for video in self._restoring)) and not self._has_stopped()

    def _next_segment(self) -> tuple[_Video, Call] | None:
        while True:
            for video in self._restoring:
                if video.pending:
                    return video, video.pending.popleft()
            if not self._analyzed:
                return None
            self._start_restoring(self._analyzed.popleft())

    def _start_restoring(self, video: _Video) -> None:
        with self._failing(video):
            segments = video.task.unfinished_segments()
            video.pending = deque(Call(video.number, RESTORE, segment) for segment in segments)
            self._restoring.append(video)
            self._close_if_restored(video)

    def _begin_next(self) -> bool:
        """Open the next video; False if no video is left or enough videos are analysed and waiting."""
        if not self._new or len(self._analyzed) >= MAX_ANALYZED:
            return False
        video = self._new.popleft()
        self._open[video.number] = video
        with self._failing(video):
            self._executor.register(video.number, video.task.begin())
            if video.task.is_analyzed():
                self._analyzed.append(video)
            else:
                self._submit(video, Call(video.number, ANALYZE))
        return True

    def _submit(self, video: _Video, call: Call) -> None:
        video.running += 1
        self._executor.submit(call)

    def _handle_outcome(self, outcome: Outcome) -> None:
        call, failure = outcome.call, outcome.failure
        video = self._open.get(call.video)
        if video is None:
            return
        video.running -= 1
        video.task.record_outcome(outcome)
        if failure is not None:
            self._handle_failure(video, outcome, failure)
            return
        self._consecutive_failures = 0
        if call.kind == ANALYZE:
            self._analyzed.append(video)
        elif call.kind == RESTORE:
            self._close_if_restored(video)
        else:
            with self._failing(video):
                video.task.finish()
                self._forget(video)

    def _handle_failure(self, video: _Video, outcome: Outcome, failure: Failure) -> None:
        call = outcome.call
        if failure.kind == DISK:
            self._handle_full_disk(video, call, failure)
            return
        self._consecutive_failures += 1
        if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            raise JobError(f"{MAX_CONSECUTIVE_FAILURES} calls failed in a row; the last failure: {failure.reason}")
        retry = next_attempt(call, failure, batch_size=video.task.batch_size, worker=outcome.worker)
        if retry is not None:
            logger.warning("%s: %s; trying again", video.task.name, describe(call, failure))
            self._retries.append(retry)
        elif call.kind != RESTORE or failure.kind == FATAL:
            self._fail(video, failure.error or JobError(f"{video.task.name}: {describe(call, failure)}"))
        else:
            logger.warning("%s: %s; giving up", video.task.name, describe(call, failure))
            video.quarantined.append(describe(call, failure))
            self._close_if_restored(video)

    def _handle_full_disk(self, video: _Video, call: Call, failure: Failure) -> None:
        needed = format_bytes(video.task.disk_needed())
        self._disk_full = self._disk_full or Failure(DISK, f"{failure.reason}. About {needed} more are needed")
        self._retries.append(call)

    def _close_if_restored(self, video: _Video) -> None:
        if video.pending or video.running or any(call.video == video.number for call in self._retries):
            return
        if not video.quarantined:
            self._restoring.remove(video)
            self._restored.append(video)
            return
        named = "; ".join(video.quarantined[:MAX_NAMED])
        more = f"; and {len(video.quarantined) - MAX_NAMED} more" if len(video.quarantined) > MAX_NAMED else ""
        rest = "Everything else is restored and kept; the same command tries again"
        self._fail(video, JobError(f"{video.task.name}: {named}{more}. {rest}"))

    def _failing(self, video: _Video) -> _Failing:
        return _Failing(lambda error: self._fail(video, error))

    def _fail(self, video: _Video, error: DynfaceError) -> None:
        video.task.fail(error)
        self._forget(video)

    def _forget(self, video: _Video) -> None:
        self._open.pop(video.number, None)
        if video in self._restoring:
            self._restoring.remove(video)
        self._retries = deque(call for call in self._retries if call.video != video.number)
        self._executor.release(video.number)


class _Failing:
    """Inside the block, one of this package's errors fails one video instead of all."""

    def __init__(self, fail: Callable[[DynfaceError], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, DynfaceError):
            self._fail(error)
            return True
        return False


def describe(call: Call, failure: Failure) -> str:
    """Say what failed and why.

    Args:
        call: The call that failed.
        failure: Why.
    """
    if call.segment is None:
        what = "the first pass" if call.kind == ANALYZE else "joining"
        return f"{what} failed ({failure.reason})"
    return f"frames {call.segment.start} to {call.segment.stop - 1} could not be restored: {failure.reason}"
