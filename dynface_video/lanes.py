"""Kinds of work side by side: each kind has a thread or several, which do what is ready of it, the oldest first.

PyTorch, OpenCV and FFmpeg release Python's global lock, so that the threads use several cores, or a core beside a GPU.
What a piece of work needs is named when it is submitted, so the result does not depend on which thread is faster.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from types import TracebackType
from typing import Protocol

THREAD_NAME = "lane"
JOIN_TIMEOUT = 0.5
"""Seconds that an interrupted thread waits for the work under way."""


class Task:
    """A piece of work of one kind.

    Attributes:
        done: Whether it has been done.
    """

    def __init__(self, number: int, lane: str, work: Callable[[], None]) -> None:
        self.number, self.lane, self.done = number, lane, False
        self.work: Callable[[], None] | None = work
        self.missing = 0
        self.followers: list[Task] = []

    def __lt__(self, other: Task) -> bool:
        return self.number < other.number


class Runner(Protocol):
    """Does pieces of work of several kinds; `seconds` is the time that each kind has taken, in all of its threads."""

    seconds: dict[str, float]

    def submit(self, lane: str, work: Callable[[], None], after: Iterable[Task] = ()) -> Task:
        """Have a piece of work done once those before it are.

        Args:
            lane: Its kind.
            work: Called without arguments.
            after: Tasks, submitted earlier, that must be done first.
        """

    def wait(self, tasks: Iterable[Task]) -> None:
        """Return when tasks are done; raises the error of whatever piece of work failed first."""


class InTurn:
    """A `Runner` without threads: `submit` does the work before it returns."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._count = 0

    def __enter__(self) -> InTurn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def submit(self, lane: str, work: Callable[[], None], after: Iterable[Task] = ()) -> Task:
        """See `Runner`."""
        task = Task(self._count, lane, work)
        self._count += 1
        began = time.perf_counter()
        work()
        self.seconds[lane] = self.seconds.get(lane, 0.0) + time.perf_counter() - began
        task.work, task.done = None, True
        return task

    def wait(self, tasks: Iterable[Task]) -> None:
        """See `Runner`."""


class Lanes:
    """A `Runner` with threads for each kind of work.

    Leaving the `with` block waits for the work under way and drops the rest; after a KeyboardInterrupt it waits
    `JOIN_TIMEOUT` at most.

    Args:
        names: The kinds, each once for every thread that does it.
    """

    def __init__(self, *names: str) -> None:
        self.seconds = dict.fromkeys(names, 0.0)
        self._changed = threading.Condition()
        self._ready: dict[str, list[Task]] = {name: [] for name in names}
        self._count = 0
        self._closed = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._serve, args=(name,), name=f"{THREAD_NAME} {name}", daemon=True)
            for name in names
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        deadline = time.monotonic() + JOIN_TIMEOUT
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()) if isinstance(error, KeyboardInterrupt) else None)
        # Its traceback refers to the lanes: what the work held would stay in memory until Python looks for circles.
        self._error = None

    def submit(self, lane: str, work: Callable[[], None], after: Iterable[Task] = ()) -> Task:
        """See `Runner`."""
        with self._changed:
            task = Task(self._count, lane, work)
            self._count += 1
            for before in after:
                if not before.done:
                    before.followers.append(task)
                    task.missing += 1
            if task.missing == 0:
                self._make_ready(task)
        return task

    def wait(self, tasks: Iterable[Task]) -> None:
        """See `Runner`."""
        with self._changed:
            for task in tasks:
                self._changed.wait_for(lambda task=task: task.done or self._error is not None)  # type: ignore[misc]
                if self._error is not None:
                    raise self._error

    def _make_ready(self, task: Task) -> None:
        heappush(self._ready[task.lane], task)
        self._changed.notify_all()

    def _serve(self, name: str) -> None:
        ready = self._ready[name]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(ready) or self._closed or self._error is not None)
                if self._closed or self._error is not None:
                    return
                task = heappop(ready)
            began = time.perf_counter()
            try:
                assert task.work is not None
                task.work()
            except BaseException as error:  # of any kind: it is raised in the thread that waits
                with self._changed:
                    # What follows from the first error says less.
                    self._error = self._error or error
                    self._changed.notify_all()
                return
            self._finish(task, time.perf_counter() - began)

    def _finish(self, task: Task, seconds: float) -> None:
        with self._changed:
            self.seconds[task.lane] += seconds
            # Not kept: the work holds pictures.
            task.work, task.done = None, True
            for follower in task.followers:
                follower.missing -= 1
                if follower.missing == 0:
                    self._make_ready(follower)
            task.followers.clear()
            self._changed.notify_all()
