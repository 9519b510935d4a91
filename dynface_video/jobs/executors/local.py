"""Calls done one after the other in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError, ModelError
from dynface_video.jobs.executors.base import FATAL, LOST, Call, Failure, Outcome, Performer
from dynface_video.jobs.executors.subprocess import perform_apart
from dynface_video.jobs.failures import failure_of


class LocalExecutor:
    """Does one call at a time, while it is waited for.

    A call that once took the process down with it, as a decoder may on a damaged file, leaves its mark in the job's
    directory; it is tried again in a process of its own.
    """

    def __init__(self, on_frame: Callable[[Call, int], None]) -> None:
        """on_frame: told how many frames of a call are done; what it raises ends the call."""
        self._on_frame = on_frame
        self._performers: dict[int, Performer] = {}
        self._queue: deque[Call] = deque()
        self._cache: dict[str, Any] = {}

    def register(self, video: int, performer: Performer) -> None:
        """See `Executor`."""
        self._performers[video] = performer

    def release(self, video: int) -> None:
        """See `Executor`."""
        self._performers.pop(video, None)

    def takes(self, kind: str) -> bool:
        """See `Executor`."""
        return not self._queue

    def submit(self, call: Call) -> None:
        """See `Executor`."""
        self._queue.append(call)

    @property
    def running(self) -> list[Call]:
        """See `Executor`."""
        return list(self._queue)

    def wait(self, seconds: float) -> list[Outcome]:
        """Do the call that waits."""
        call = self._queue.popleft()
        performer = self._performers[call.video]
        mark = performer.mark(call)
        value = perform_apart(performer, call) if mark.exists() else self._here(performer, call, mark)
        if not (isinstance(value, Failure) and value.kind == LOST):
            mark.unlink(missing_ok=True)
        failure = value if isinstance(value, Failure) else None
        return [Outcome(call, None if failure else value, failure)]

    def _here(self, performer: Performer, call: Call, mark: Path) -> Any:
        mark.touch()
        try:
            return performer.perform(call, self._cache, lambda done: self._on_frame(call, done))
        except (InputError, ModelError) as error:
            return Failure(FATAL, str(error), error)
        except Exception as error:  # whatever it is, it is one segment's failure and not the job's
            return failure_of(error)
        except BaseException:
            mark.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """See `Executor`."""
        self._queue.clear()
        self._cache.clear()
