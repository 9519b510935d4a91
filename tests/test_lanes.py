"""Work in lanes: each piece after what it needs, kinds side by side, errors where they are waited for."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from functools import partial

import pytest

from dynface_video.lanes import InTurn, Lanes, Runner

LANES = ("a", "b")


def fill(runner: Runner) -> list[int]:
    """A ladder of work that alternates between two lanes, each rung from the two below it."""
    values: dict[int, int] = {0: 1, 1: 1}
    done: list[int] = []

    def work(number: int) -> None:
        values[number] = values[number - 1] + values[number - 2]
        done.append(number)

    tasks = [runner.submit("a", lambda: None), runner.submit("b", lambda: None)]
    for number in range(2, 30):
        tasks.append(runner.submit(LANES[number % 2], lambda number=number: work(number), tasks[-2:]))  # type: ignore[misc]
    runner.wait(tasks[-1:])
    assert all(task.done for task in tasks)
    assert done == sorted(done)
    return [values[number] for number in range(30)]


def lanes_alive() -> int:
    return sum(thread.name.startswith("lane") for thread in threading.enumerate())


def test_work_waits_for_what_it_needs_in_threads_and_in_turn() -> None:
    with Lanes(*LANES) as lanes:
        assert lanes_alive() == 2
        assert fill(lanes) == fill(InTurn())
        assert set(lanes.seconds) == set(LANES)
    assert lanes_alive() == 0


def test_two_lanes_work_at_the_same_time() -> None:
    barrier = threading.Barrier(2, timeout=20)
    with Lanes(*LANES) as lanes:
        lanes.wait([lanes.submit(name, barrier.wait) for name in LANES])  # type: ignore[arg-type]


def test_a_lane_named_twice_has_two_threads() -> None:
    barrier = threading.Barrier(2, timeout=20)
    with Lanes("a", "a", "b") as lanes:
        assert lanes_alive() == 3
        lanes.wait([lanes.submit("a", barrier.wait) for _ in range(2)])  # type: ignore[arg-type]
        assert fill(lanes) == fill(InTurn())
        lanes.wait([lanes.submit("a", partial(time.sleep, 0.2)) for _ in range(2)])
        assert set(lanes.seconds) == {"a", "b"} and lanes.seconds["a"] > 0.39


def test_an_error_in_one_of_two_threads_ends_both() -> None:
    with Lanes("a", "a") as lanes:
        lanes.submit("a", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
        later = lanes.submit("a", partial(time.sleep, 0.2))
        after = lanes.submit("a", lambda: None, [later])
        with pytest.raises(ZeroDivisionError):
            lanes.wait([after])
    assert lanes_alive() == 0 and not after.done


def test_a_lane_does_the_oldest_of_what_is_ready() -> None:
    order: list[str] = []
    held = threading.Event()
    with Lanes(*LANES) as lanes:
        gate = lanes.submit("b", held.wait)  # type: ignore[arg-type]
        late = lanes.submit("a", lambda: order.append("needs the gate"), [gate])
        early = lanes.submit("a", lambda: order.append("needs nothing"))
        lanes.wait([early])
        held.set()
        lanes.wait([late])
        blocked = threading.Event()
        first = lanes.submit("a", blocked.wait)  # type: ignore[arg-type]
        rest = [lanes.submit("a", lambda n=n: order.append(str(n))) for n in range(3)]  # type: ignore[misc]
        blocked.set()
        lanes.wait([first, *rest])
    assert order == ["needs nothing", "needs the gate", "0", "1", "2"]


def test_an_error_ends_all_lanes_and_is_raised_where_work_is_waited_for() -> None:
    def fail() -> None:
        raise MemoryError("too much")

    with pytest.raises(MemoryError, match="too much"), Lanes(*LANES) as lanes:
        failed = lanes.submit("a", fail)
        lanes.wait([lanes.submit("b", lambda: None, [failed])])
    assert lanes_alive() == 0


def test_of_two_errors_the_first_is_raised() -> None:
    failed, both = threading.Event(), threading.Barrier(2, timeout=20)

    def fail_first() -> None:
        both.wait()
        failed.set()
        raise MemoryError("first")

    def fail_second() -> None:
        both.wait()
        failed.wait(20)
        time.sleep(0.05)
        raise KeyError("second")

    with pytest.raises(MemoryError, match="first"), Lanes(*LANES) as lanes:
        lanes.submit("a", fail_first)
        second = lanes.submit("b", fail_second)
        while lanes_alive():
            time.sleep(0.005)
        lanes.wait([second])


def test_after_an_error_nothing_of_the_work_is_kept() -> None:
    class Picture:
        """Stands for memory."""

    def fail(picture: Picture) -> None:
        raise MemoryError("too much")

    picture = Picture()
    kept = weakref.ref(picture)
    gc.disable()
    try:
        with pytest.raises(MemoryError) as caught, Lanes(*LANES) as lanes:
            lanes.wait([lanes.submit("a", partial(fail, picture))])
        del picture, caught
        assert kept() is None
    finally:
        gc.enable()


def test_leaving_early_drops_what_has_not_begun() -> None:
    begun, count = threading.Event(), [0]

    def slow() -> None:
        begun.set()
        time.sleep(0.05)
        count[0] += 1

    with Lanes(*LANES) as lanes:
        for _ in range(50):
            lanes.submit("a", slow)
        begun.wait(20)
    assert count[0] == 1 and lanes_alive() == 0


def test_the_work_of_a_task_is_not_kept() -> None:
    with Lanes(*LANES) as lanes:
        first = lanes.submit("a", lambda: None)
        second = lanes.submit("b", lambda: None, [first])
        lanes.wait([second])
        assert first.work is None and second.work is None and not first.followers
