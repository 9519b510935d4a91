"""The driver: gives the work of several videos to one pool, and decides what a failure means.

Every video passes three stages: one call analyses it, one call a segment restores it, one call joins the segments. The
longest videos begin; those in progress are finished before others are opened; while one waits for its last segments or
is being joined, the next one's segments are given out, so that nobody waits.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dynface_video.errors import DiskFullError, DynfaceError, JobError
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
from dynface_video.jobs.failures import next_try
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.stopping import Stop

logger = logging.getLogger(__name__)

TICK = 1.0
MOST_AHEAD = 100
MAX_CONSECUTIVE_FAILURES = 100


class VideoTask(Protocol):
    """A video as the driver sees it. name: for messages; weight: expected effort, in any unit; batch_size: of faces"""

    name: str
    weight: float
    batch_size: int

    def begin(self) -> Performer:
        """Open the job's directory; raises DynfaceError when it cannot be used."""

    def is_analyzed(self) -> bool:
        """Whether the first pass is done."""

    def segments_left(self) -> Sequence[Segment]:
        """The segments that are not done, in order; after the first pass."""

    def record_outcome(self, outcome: Outcome) -> None:
        """Take note of a call that ended."""

    def tick(self) -> None:
        """Say how far it is, to whoever asks from outside; called about once a second."""

    def disk_needed(self) -> int:
        """Bytes that the rest of the job will probably take."""

    def finish(self) -> None:
        """Publish the output, which is complete; the job is over."""

    def fail(self, error: DynfaceError) -> None:
        """The job is over for now; what is finished is kept."""

    def leave(self) -> None:
        """The job was stopped; let go of it."""


@dataclass(eq=False)
class _Video:
    task: VideoTask
    number: int
    waiting: deque[Call] = field(default_factory=deque)
    running: int = 0
    quarantined: list[str] = field(default_factory=list)


class Driver:
    """Drives several videos through one executor; see the module."""

    def __init__(self, tasks: Sequence[VideoTask], executor: Executor, stop: Stop) -> None:
        """tasks: of videos that do not share an output."""
        self._executor, self._stop = executor, stop
        by_weight = sorted(range(len(tasks)), key=lambda i: -tasks[i].weight)
        self._new = deque(_Video(tasks[i], i) for i in by_weight)
        self._open: dict[int, _Video] = {}
        self._analyzed: deque[_Video] = deque()
        self._restoring: list[_Video] = []
        self._joining: deque[_Video] = deque()
        self._again: deque[Call] = deque()
        self._in_a_row = 0
        self._disk: Failure | None = None

    def run(self) -> None:
        """Work until all videos are done or have failed.

        Raises Interrupted when it was stopped, DiskFullError when the disk is full, JobError when nothing succeeds any
        more. Whatever happens, what was finished is kept.
        """
        try:
            while self._give_out() or self._executor.running:
                for outcome in self._executor.wait(TICK):
                    self._take(outcome)
                for video in list(self._open.values()):
                    video.task.tick()
                if self._is_over():
                    break
        finally:
            for video in self._open.values():
                video.task.leave()
        self._stop.check()
        if self._disk is not None:
            raise DiskFullError(self._disk.reason)

    def _is_over(self) -> bool:
        """Whether what still runs is not worth waiting for: after a stop, first passes are not."""
        ending = self._stop.requested or self._disk is not None
        return ending and not any(call.kind != ANALYZE for call in self._executor.running)

    def _give_out(self) -> bool:
        """Give out what can be given; returns whether anything is left to give."""
        executor = self._executor
        while not self._stop.requested and self._disk is None:
            if executor.takes(ASSEMBLE) and self._joining:
                video = self._joining.popleft()
                self._submit(video, Call(video.number, ASSEMBLE))
            elif self._again and executor.takes(self._again[0].kind):
                call = self._again.popleft()
                self._submit(self._open[call.video], call)
            elif executor.takes(RESTORE) and (found := self._next_segment()) is not None:
                self._submit(*found)
            elif executor.takes(ASSEMBLE) and self._joining:
                # A resumed video may have had no segment left: looking for one has made it ready to be joined.
                continue
            elif not (executor.takes(ANALYZE) and self._begin_next()):
                break
        waiting = self._joining or self._again or self._analyzed or self._new
        return bool(waiting or any(video.waiting for video in self._restoring)) and not self._is_over()

    def _next_segment(self) -> tuple[_Video, Call] | None:
        while True:
            for video in self._restoring:
                if video.waiting:
                    return video, video.waiting.popleft()
            if not self._analyzed:
                return None
            self._restore(self._analyzed.popleft())

    def _restore(self, video: _Video) -> None:
        with self._failing(video):
            left = video.task.segments_left()
            video.waiting = deque(Call(video.number, RESTORE, segment) for segment in left)
            self._restoring.append(video)
            self._close_if_restored(video)

    def _begin_next(self) -> bool:
        """Open the next video; returns whether there was one."""
        if not self._new or len(self._analyzed) >= MOST_AHEAD:
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

    def _take(self, outcome: Outcome) -> None:
        call, failure = outcome.call, outcome.failure
        video = self._open.get(call.video)
        if video is None:
            return
        video.running -= 1
        video.task.record_outcome(outcome)
        if failure is not None:
            self._take_failure(video, outcome, failure)
            return
        self._in_a_row = 0
        if call.kind == ANALYZE:
            self._analyzed.append(video)
        elif call.kind == RESTORE:
            self._close_if_restored(video)
        else:
            with self._failing(video):
                video.task.finish()
                self._forget(video)

    def _take_failure(self, video: _Video, outcome: Outcome, failure: Failure) -> None:
        call = outcome.call
        if failure.kind == DISK:
            self._run_out(video, call, failure)
            return
        self._in_a_row += 1
        if self._in_a_row >= MAX_CONSECUTIVE_FAILURES:
            raise JobError(f"nothing succeeds any more; the last failure: {failure.reason}")
        again = next_try(call, failure, batch_size=video.task.batch_size, worker=outcome.worker)
        if again is not None:
            logger.warning("%s: %s; it is tried again", video.task.name, describe(call, failure))
            self._again.append(again)
        elif call.kind != RESTORE or failure.kind == FATAL:
            self._fail(video, failure.error or JobError(f"{video.task.name}: {describe(call, failure)}"))
        else:
            logger.warning("%s: %s; given up", video.task.name, describe(call, failure))
            video.quarantined.append(describe(call, failure))
            self._close_if_restored(video)

    def _run_out(self, video: _Video, call: Call, failure: Failure) -> None:
        needed = video.task.disk_needed()
        self._disk = self._disk or Failure(DISK, f"{failure.reason}. About {gigabytes(needed)} more are needed")
        self._again.append(call)

    def _close_if_restored(self, video: _Video) -> None:
        if video.waiting or video.running or any(call.video == video.number for call in self._again):
            return
        if video.quarantined:
            shown = "; ".join(video.quarantined[:5])
            more = f"; and {len(video.quarantined) - 5} more" if len(video.quarantined) > 5 else ""
            self._fail(
                video,
                JobError(
                    f"{video.task.name}: {shown}{more}. Everything else is restored and kept; the same command tries "
                    "again"
                ),
            )
        else:
            self._restoring.remove(video)
            self._joining.append(video)

    def _failing(self, video: _Video) -> _Failing:
        return _Failing(lambda error: self._fail(video, error))

    def _fail(self, video: _Video, error: DynfaceError) -> None:
        video.task.fail(error)
        self._forget(video)

    def _forget(self, video: _Video) -> None:
        self._open.pop(video.number, None)
        if video in self._restoring:
            self._restoring.remove(video)
        self._again = deque(call for call in self._again if call.video != video.number)
        self._executor.release(video.number)


class _Failing:
    """Inside, an error of ours ends one video instead of all."""

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
    """What failed and why, in words."""
    if call.segment is None:
        what = "the first pass" if call.kind == ANALYZE else "joining"
        return f"{what} failed ({failure.reason})"
    return f"frames {call.segment.start} to {call.segment.stop - 1} could not be restored: {failure.reason}"


def gigabytes(count: int) -> str:
    """Bytes as a person says them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count, 1) / 1e6:.0f} MB"
