"""Calls go to the worker that finishes them first."""

from __future__ import annotations

import pytest

from dynface_video.jobs.executors.base import ANALYZE, ASSEMBLE, RESTORE, Call, SegmentResult
from dynface_video.jobs.executors.dispatch import CALLS_PER_WORKER, WorkerLoad, choose_worker
from dynface_video.jobs.plan import Segment

FRAMES = 10


def pool(*paces: float | None) -> list[WorkerLoad]:
    return [WorkerLoad(number, ready=True, seconds_per_frame=pace) for number, pace in enumerate(paces)]


def call(number: int, kind: str = RESTORE) -> Call:
    return Call(0, kind, Segment(number, FRAMES * number, FRAMES * (number + 1)) if kind == RESTORE else None)


def result(number: int, seconds: float, *, computed: bool = True) -> SegmentResult:
    return SegmentResult(number, FRAMES, 5, 50, {"networks": 0.75 * seconds}, computed=computed, elapsed=seconds)


def simulate(paces: list[float], segments: int) -> tuple[float, list[int]]:
    """Restore segments with workers of known speeds. Returns the time it takes, and how many each has restored."""
    workers, now, next_segment = pool(*[None] * len(paces)), 0.0, 0
    ends = dict[int, float]()
    restored = [0] * len(paces)
    while next_segment < segments or ends:
        while next_segment < segments and (worker := choose_worker(workers, RESTORE)) is not None:
            worker.add(call(next_segment))
            next_segment += 1
            ends.setdefault(worker.number, now + FRAMES * paces[worker.number])
        number = min(ends, key=lambda n: ends[n])
        now, worker = ends.pop(number), workers[number]
        restored[number] += 1
        worker.remove(worker.calls[0], result(0, FRAMES * paces[number]))
        if worker.calls:
            ends[number] = now + FRAMES * paces[number]
    return now, restored


def test_fast_workers_restore_more_and_none_waits_for_a_slow_one_in_the_end() -> None:
    took, restored = simulate([1.0, 1.0, 4.0], 36)
    assert restored == [16, 16, 4]
    # 36 segments at 2 1/4 per 10 s take 160 s, and the slow one's last segment may begin just before that.
    assert took <= 160 + 4 * FRAMES


def test_equal_workers_share_equally() -> None:
    took, restored = simulate([1.0, 1.0, 1.0, 1.0], 40)
    assert (took, restored) == (100.0, [10, 10, 10, 10])


def test_a_slow_worker_gets_no_call_to_wait_that_a_fast_one_finishes_sooner() -> None:
    fast, slow = pool(1.0, 4.0)
    for worker in (fast, slow):
        worker.add(call(0))
    assert choose_worker([fast, slow], RESTORE) is fast
    fast.add(call(1))
    assert choose_worker([fast, slow], RESTORE) is None
    fast.seconds_per_frame = 3.0
    assert choose_worker([fast, slow], RESTORE) is slow


def test_an_idle_worker_always_gets_a_call() -> None:
    fast, slow = pool(1.0, 100.0)
    fast.add(call(0))
    fast.add(call(1))
    assert choose_worker([fast, slow], RESTORE) is slow


def test_nothing_waits_behind_a_first_pass_and_it_waits_behind_nothing() -> None:
    (worker,) = pool(None)
    worker.add(call(0, ANALYZE))
    assert worker.load == CALLS_PER_WORKER and choose_worker([worker], RESTORE) is None
    worker.remove(worker.calls[0], 240)
    worker.add(call(0))
    assert choose_worker([worker], ANALYZE) is None
    assert choose_worker([worker], RESTORE) is choose_worker([worker], ASSEMBLE) is worker


def test_a_worker_that_failed_with_a_call_gets_it_only_if_no_other_is_free() -> None:
    failed, other = pool(1.0, 2.0)
    assert choose_worker([failed, other], RESTORE, avoid=failed.number) is other
    other.ready = False
    assert choose_worker([failed, other], RESTORE, avoid=failed.number) is failed


def test_speed_is_measured_on_segments_that_were_restored() -> None:
    (worker,) = pool(None)
    for value, expected in ((result(0, 20.0), 2.0), (result(1, 10.0), 1.7), (result(2, 0.0, computed=False), 1.7)):
        worker.add(call(value.number))
        worker.remove(worker.calls[0], value)
        assert worker.seconds_per_frame == pytest.approx(expected)
    assert worker.load == 0
