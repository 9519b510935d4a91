"""Decoding, restoring and encoding at the same time: an iterator that runs ahead in a thread, by a bounded number.

Decoders, encoders and networks release Python's global lock, so the threads use several cores, or a core beside a GPU.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

THREAD_NAME = "prefetch"
MOST_FRAMES = 16
"""Frames ahead: those of a block, so that the next block is restored while they are encoded."""
MOST_BYTES = 1 << 28
JOIN_TIMEOUT = 0.5
"""Seconds that an interrupted consumer waits for its producer."""


class Prefetch(Generic[T]):
    """Iterates over items that a thread produces ahead of time.

    The items come in their order, and an error of the producer is raised in its place among them. Leaving the `with`
    block stops the producer and waits for it, after a KeyboardInterrupt for `JOIN_TIMEOUT` at most.

    Example:
        >>> with Prefetch(decoded_frames(), 8) as frames:
        ...     for frame in frames:
        ...         encode(frame)
    """

    def __init__(self, items: Iterable[T], size: int) -> None:
        """Start producing.

        Args:
            items: Iterated over in the thread, and closed there if it is a generator.
            size: Items that may wait for the consumer, at least 1.
        """
        self._items = items
        self._queue: Queue[tuple[T | None, BaseException | None]] = Queue(size)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def __enter__(self) -> Iterator[T]:
        return self._consume()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        # A producer that waits for room in the queue gets it, sees that it was stopped, and ends.
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                break
        # The user who presses Ctrl-C again does not wait for the block of faces that is being restored.
        self._thread.join(JOIN_TIMEOUT if isinstance(error, KeyboardInterrupt) else None)

    def _produce(self) -> None:
        try:
            for item in self._items:
                if self._stopped.is_set():
                    break
                self._queue.put((item, None))
            else:
                self._end(StopIteration())
        except BaseException as error:  # of any kind: it is raised in the consumer
            self._end(error)
        finally:
            if hasattr(self._items, "close"):
                self._items.close()

    def _end(self, error: BaseException) -> None:
        if not self._stopped.is_set():
            self._queue.put((None, error))

    def _consume(self) -> Iterator[T]:
        while True:
            item, error = self._queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                try:
                    raise error
                finally:
                    # Its traceback refers to this frame: a circle would keep what the producer held in memory.
                    del error
            yield item  # type: ignore[misc]


def timed(items: Iterable[T], seconds: dict[str, float], name: str) -> Iterator[T]:
    """The items; the time that each takes to come is added to `seconds[name]`."""
    source = iter(items)
    try:
        while True:
            began = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
            yield item
    finally:
        if hasattr(source, "close"):
            source.close()


def frames_ahead(width: int, height: int) -> int:
    """How many frames may be held ahead of their use: `MOST_FRAMES`, or as many as `MOST_BYTES` hold.

    Args:
        width: Of a frame, pixels.
        height: As `width`.
    """
    # Three samples per pixel of up to two bytes: only formats with transparency are larger.
    frame = 6 * width * height
    return max(1, min(MOST_FRAMES, MOST_BYTES // max(1, frame)))
