"""Something that takes long to load, and that perhaps nobody will ask for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")

THREAD_NAME = "loading"


class Deferred(Generic[T]):
    """A value that is made once: when it is first asked for, or ahead of that in a thread.

    Example:
        >>> prior = Deferred(lambda: load_pretrained(GuidedPrior, folder))
        >>> prior.start()  # and do something else
        >>> prior.get().predict(...)
    """

    def __init__(self, load: Callable[[], T]) -> None:
        """Do not load yet.

        Args:
            load: Makes the value; called again if it raised an error.
        """
        self._load, self._lock = load, threading.Lock()
        self._loaded: list[T] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to load in a thread; an error is raised by `get`."""
        if self._thread is None and not self._loaded:
            # Not a daemon: Python waits for it at its end, as libraries that are half imported may not be torn down.
            self._thread = threading.Thread(target=self._run, name=THREAD_NAME)
            self._thread.start()

    def get(self) -> T:
        """The value; waits for the thread, or loads it here. Raises what loading raises."""
        with self._lock:
            if not self._loaded:
                self._loaded.append(self._load())
            return self._loaded[0]

    @property
    def loaded(self) -> bool:
        """Whether `get` returns at once."""
        return bool(self._loaded)

    def _run(self) -> None:
        with suppress(Exception):
            self.get()
