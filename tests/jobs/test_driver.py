"""What the driver makes of failures, and in which order it gives out work; the executor does what it is told."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from dynface_video.errors import DiskFullError, DynfaceError, InputError, Interrupted, JobError
from dynface_video.jobs.driver import Driver
from dynface_video.jobs.executors.base import (
    ANALYZE,
    ASSEMBLE,
    DISK,
    FATAL,
    LOST,
    MEMORY,
    RESTORE,
    Call,
    Failure,
    Outcome,
    SegmentResult,
)
from dynface_video.jobs.failures import MAX_ATTEMPTS
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.signals import StopRequest

Answer = Callable[[Call], Failure | None]


@dataclass
class FakeExecutor:
    """Two calls at a time, first in, first out. answer: what becomes of a call, None for success"""

    answer: Answer = lambda call: None
    given: list[Call] = field(default_factory=list)
    _running: list[Call] = field(default_factory=list)

    def register(self, video: int, performer: Any) -> None:
        pass

    def release(self, video: int) -> None:
        pass

    def has_capacity(self, kind: str) -> bool:
        return len(self._running) < 2

    def submit(self, call: Call) -> None:
        self.given.append(call)
        self._running.append(call)

    @property
    def running(self) -> list[Call]:
        return self._running

    def wait(self, seconds: float) -> list[Outcome]:
        call = self._running.pop(0)
        failure = self.answer(call)
        number = call.segment.number if call.segment else 0
        value = SegmentResult(number, 10, 1, 1, {}) if call.kind == RESTORE else ()
        return [Outcome(call, None if failure else value, failure, worker=7)]

    def close(self) -> None:
        pass


@dataclass
class FakeTask:
    name: str = "film"
    weight: float = 1.0
    batch_size: int = 8
    count: int = 4
    refused: DynfaceError | None = None
    error: DynfaceError | None = None
    done: bool = False
    suspended: bool = False
    taken: list[Outcome] = field(default_factory=list)

    def begin(self) -> Any:
        if self.refused is not None:
            raise self.refused
        return None

    def is_analyzed(self) -> bool:
        return False

    def unfinished_segments(self) -> Sequence[Segment]:
        return [Segment(i, 10 * i, 10 * i + 10) for i in range(self.count)]

    def record_outcome(self, outcome: Outcome) -> None:
        self.taken.append(outcome)

    def update_progress(self) -> None:
        pass

    def disk_needed(self) -> int:
        return 3 * 10**9

    def finish(self) -> None:
        self.done = True

    def fail(self, error: DynfaceError) -> None:
        self.error = error

    def suspend(self) -> None:
        self.suspended = True


def restored(executor: FakeExecutor, video: int = 0) -> list[int]:
    return [c.segment.number for c in executor.given if c.kind == RESTORE and c.video == video and c.segment]


def test_a_video_is_analysed_restored_in_order_and_joined() -> None:
    executor, task = FakeExecutor(), FakeTask()
    Driver([task], executor, StopRequest()).run()
    assert [call.kind for call in executor.given] == [ANALYZE, *[RESTORE] * 4, ASSEMBLE]
    assert restored(executor) == [0, 1, 2, 3] and task.done and not task.suspended


def test_the_longest_begins_and_the_next_is_given_out_before_it_is_joined() -> None:
    executor = FakeExecutor()
    Driver([FakeTask(weight=1), FakeTask(weight=9)], executor, StopRequest()).run()
    kinds = [(call.video, call.kind) for call in executor.given]
    assert kinds[0] == (1, ANALYZE)
    assert restored(executor, 0) == restored(executor, 1) == [0, 1, 2, 3]
    assert kinds.index((0, RESTORE)) < kinds.index((1, ASSEMBLE))


def test_one_bad_segment_is_tried_three_times_and_the_rest_is_done() -> None:
    bad, good = FakeTask(), FakeTask("other")
    second = Segment(1, 10, 20)
    executor = FakeExecutor(lambda call: Failure(LOST, "died") if call.video == 0 and call.segment == second else None)
    Driver([bad, good], executor, StopRequest()).run()
    assert Counter(restored(executor)) == {0: 1, 1: MAX_ATTEMPTS, 2: 1, 3: 1}
    assert isinstance(bad.error, JobError) and "frames 10 to 19" in str(bad.error) and not bad.done
    assert good.done


def test_out_of_memory_halves_the_batch_then_one_then_gives_up() -> None:
    executor = FakeExecutor(lambda call: Failure(MEMORY, "full") if call.segment and call.segment.number == 0 else None)
    task = FakeTask()
    Driver([task], executor, StopRequest()).run()
    assert [c.batch for c in executor.given if c.segment and c.segment.number == 0] == [None, 4, 1]
    assert task.error is not None


def test_a_full_disk_stops_everything_and_says_how_much_is_needed() -> None:
    executor = FakeExecutor(lambda call: Failure(DISK, "full") if call.segment and call.segment.number == 1 else None)
    task = FakeTask(count=50)
    with pytest.raises(DiskFullError, match=r"full\. About 3\.0 GB more are needed"):
        Driver([task], executor, StopRequest()).run()
    assert len(restored(executor)) < 6 and task.suspended and not task.done


def test_what_cannot_begin_or_cannot_be_mended_fails_alone() -> None:
    refused, fatal, good = FakeTask(refused=InputError("no")), FakeTask(), FakeTask()
    executor = FakeExecutor(lambda call: Failure(FATAL, "weights", InputError("weights")) if call.video == 1 else None)
    Driver([refused, fatal, good], executor, StopRequest()).run()
    assert str(refused.error) == "no" and str(fatal.error) == "weights" and good.done
    assert sum(call.video == 1 for call in executor.given) == 1


def test_where_nothing_succeeds_the_job_ends() -> None:
    executor = FakeExecutor(lambda call: Failure(LOST, "died") if call.kind == RESTORE else None)
    with pytest.raises(JobError, match="failed in a row"):
        Driver([FakeTask(count=1000)], executor, StopRequest()).run()


def test_a_stop_finishes_what_runs() -> None:
    stop = StopRequest()

    def answer(call: Call) -> None:
        if call.segment is not None and call.segment.number == 1:
            stop.signal = signal.SIGTERM

    executor, task = FakeExecutor(answer), FakeTask(count=50)
    with pytest.raises(Interrupted) as stopped:
        Driver([task], executor, stop).run()
    assert stopped.value.signal == signal.SIGTERM and task.suspended
    assert [o.call.segment.number for o in task.taken if o.call.segment] == [0, 1, 2]
