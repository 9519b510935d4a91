"""Dispatch of calls: the next call goes to the worker that is expected to finish it first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from dynface_video.jobs.executors.base import ASSEMBLE, RESTORE, Call, SegmentResult

CALLS_PER_WORKER = 2
"""One running call and one queued call, so that a worker is not idle while the driver reacts."""
QUEUED = (RESTORE, ASSEMBLE)
"""Kinds of calls that may wait behind a segment."""
NEWEST_SHARE = 0.3
"""Weight of the latest segment in the speed of a worker."""


@dataclass(eq=False)
class WorkerLoad:
    """What a worker of the pool has to do, and how fast it is.

    Attributes:
        number: Of the worker.
        ready: Whether it has started.
        calls: Submitted and not ended, the running one first.
        load: Of these; a call for which no other may wait counts as `CALLS_PER_WORKER`.
        seconds_per_frame: Of the segments that it has restored, averaged; None before the first.
    """

    number: int
    ready: bool = False
    calls: deque[Call] = field(default_factory=deque)
    load: int = 0
    seconds_per_frame: float | None = None

    def add(self, call: Call) -> None:
        """Take note of a submitted call."""
        self.calls.append(call)
        self.load += _load_of(call)

    def remove(self, call: Call, value: object) -> None:
        """Take note of a call that ended.

        Args:
            call: The call.
            value: Its result, by which the worker's speed is measured if it is that of a restored segment.
        """
        self.calls.remove(call)
        self.load -= _load_of(call)
        if isinstance(value, SegmentResult) and value.computed and value.frames:
            spent = value.elapsed / value.frames
            before = self.seconds_per_frame
            self.seconds_per_frame = spent if before is None else before + NEWEST_SHARE * (spent - before)


def choose_worker(workers: Iterable[WorkerLoad], kind: str, *, avoid: int | None = None) -> WorkerLoad | None:
    """Choose the worker that will probably finish a call first.

    A worker may have a second call waiting. It gets one only if it would finish it before a faster worker, whose queue
    is full, would: otherwise the call waits in the driver, and near the end of a job a slow worker would still have two
    segments to restore while fast ones are idle.

    Args:
        workers: The pool.
        kind: ANALYZE, RESTORE or ASSEMBLE. No call waits behind an analysis, and an analysis waits behind no call.
        avoid: Number of a worker that failed with the call, which gets it only if no other is free.

    Returns:
        The worker; None if the call should wait.
    """
    ready = [worker for worker in workers if worker.ready]
    most = 0 if kind not in QUEUED else CALLS_PER_WORKER - 1
    free = [worker for worker in ready if worker.load <= most]
    usual = median([worker.seconds_per_frame for worker in ready if worker.seconds_per_frame is not None] or [1.0])

    def finish(worker: WorkerLoad) -> float:
        return (worker.load + 1) * (worker.seconds_per_frame or usual)

    first = min((finish(worker) for worker in ready if worker.load > most), default=float("inf"))
    worthwhile = [worker for worker in free if worker.load == 0 or finish(worker) <= first]
    return min(worthwhile, key=lambda worker: (worker.number == avoid, finish(worker)), default=None)


def _load_of(call: Call) -> int:
    # First passes and joinings take long: nothing may wait behind one.
    return 1 if call.kind == RESTORE else CALLS_PER_WORKER
