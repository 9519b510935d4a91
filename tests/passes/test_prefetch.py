"""An iterator that runs ahead in a thread: order, errors, bounds and the end."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from dynface_video.passes.prefetch import MOST_FRAMES, Prefetch, frames_ahead


def threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


class Counted:
    """A generator that says how far it is, in which thread, and whether it was closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made, self.closed, self.thread = 0, False, ""
        self.count, self.error = count, error

    def items(self) -> Iterator[int]:
        try:
            self.thread = threading.current_thread().name
            for number in range(self.count):
                self.made += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_all_items_come_in_their_order_from_another_thread(size: int) -> None:
    source = Counted(20)
    with Prefetch(source.items(), size) as items:
        assert list(items) == list(range(20))
    assert source.thread == "prefetch" and source.closed and threads() == 0


def test_the_producer_runs_ahead_but_not_beyond_the_bound() -> None:
    source = Counted(100)
    with Prefetch(source.items(), 4) as items:
        assert next(items) == 0
        # One was taken, four wait, and one more is made before there is room for it.
        until(lambda: source.made == 6)
        time.sleep(0.05)
        assert source.made == 6


def test_producer_and_consumer_work_at_the_same_time() -> None:
    both, alone = threading.Barrier(2, timeout=20), list[int]()

    def produced() -> Iterator[int]:
        for number in range(3):
            yield number
            # While item n is being consumed, item n + 1 is being made; otherwise the barrier would break.
            both.wait()

    with Prefetch(produced(), 1) as items:
        for item in items:
            alone.append(item)
            both.wait()
    assert alone == [0, 1, 2]


def test_after_an_error_nothing_that_the_producer_held_is_kept() -> None:
    class Picture:
        """Stands for memory."""

    kept: list[weakref.ref[Picture]] = []

    def produced() -> Iterator[int]:
        picture = Picture()
        kept.append(weakref.ref(picture))
        yield 0
        raise MemoryError("too much")

    gc.disable()
    try:
        with pytest.raises(MemoryError) as caught, Prefetch(produced(), 1) as items:
            list(items)
        del caught, items
        assert kept[0]() is None
    finally:
        gc.enable()


def test_an_error_comes_after_the_items_before_it() -> None:
    source, seen = Counted(3, OSError("no space")), list[int]()
    with pytest.raises(OSError, match="no space"), Prefetch(source.items(), 2) as items:
        for item in items:
            seen.append(item)
    assert seen == [0, 1, 2] and threads() == 0


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("error", [None, ValueError("late")])
def test_a_consumer_that_ends_early_stops_and_closes_the_producer(size: int, error: Exception | None) -> None:
    source = Counted(1000, error)
    with pytest.raises(ZeroDivisionError), Prefetch(source.items(), size) as items:
        next(items)
        raise ZeroDivisionError
    assert source.closed and source.made <= size + 3 and threads() == 0


def test_an_interrupt_does_not_wait_for_the_item_that_is_being_made() -> None:
    release, source = threading.Event(), Counted(1000)

    def slow() -> Iterator[int]:
        for number in source.items():
            yield number
            release.wait(60)

    with pytest.raises(KeyboardInterrupt), Prefetch(slow(), 1) as items:
        next(items)
        raise KeyboardInterrupt
    assert threads() == 1 and not release.is_set()
    release.set()
    until(lambda: threads() == 0)
    assert threads() == 0


def test_large_frames_are_held_in_smaller_numbers() -> None:
    assert frames_ahead(1920, 1080) == MOST_FRAMES
    assert (frames_ahead(3840, 2160), frames_ahead(7680, 4320), frames_ahead(15360, 8640)) == (5, 1, 1)
