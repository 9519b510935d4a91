"""Calls executed one after the other in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError, ModelError
from dynface_video.jobs.executors.base import FATAL, LOST, Call, Failure, Outcome, Performer
from dynface_video.jobs.executors.subprocess import run_in_subprocess
from dynface_video.jobs.failures import failure_of


class LocalExecutor:
    """Executes one call at a time, inside `wait`.

    A call that once killed the process, as a decoder may on a damaged file, has left its crash marker in the job's
    directory; it is repeated in a subprocess.
    """

    def __init__(self, on_frame: Callable[[Call, int], None], networks: object = None) -> None:
        """Create an executor.

        Args:
            on_frame: Called with a call and its number of frames done; an exception that it raises ends the call.
            networks: What performers find as `networks` in their cache, which outlives this executor.
        """
        self._on_frame = on_frame
        self._performers: dict[int, Performer] = {}
        self._queue: deque[Call] = deque()
        self._executed: Call | None = None
        self._cache: dict[str, Any] = {} if networks is None else {"networks": networks}

    def register(self, video: int, performer: Performer) -> None:
        """See `Executor`."""
        self._performers[video] = performer

    def release(self, video: int) -> None:
        """See `Executor`."""
        self._performers.pop(video, None)

    def has_capacity(self, kind: str) -> bool:
        """See `Executor`."""
        return not self._queue

    def submit(self, call: Call) -> None:
        """See `Executor`."""
        self._queue.append(call)

    @property
    def running(self) -> list[Call]:
        """See `Executor`."""
        return [*([self._executed] if self._executed else []), *self._queue]

    def wait(self, seconds: float) -> list[Outcome]:
        """Execute the submitted call."""
        call = self._executed = self._queue.popleft()
        performer = self._performers[call.video]
        marker = performer.crash_marker(call)
        try:
            value = run_in_subprocess(performer, call) if marker.exists() else self._run(performer, call, marker)
        finally:
            self._executed = None
        if not (isinstance(value, Failure) and value.kind == LOST):
            marker.unlink(missing_ok=True)
        failure = value if isinstance(value, Failure) else None
        return [Outcome(call, None if failure else value, failure)]

    def _run(self, performer: Performer, call: Call, marker: Path) -> Any:
        marker.touch()
        try:
            return performer.perform(call, self._cache, lambda done: self._on_frame(call, done))
        except (InputError, ModelError) as error:
            return Failure(FATAL, str(error), error)
        except Exception as error:  # of any kind: it fails one segment, not the job
            return failure_of(error)
        except BaseException:
            marker.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """See `Executor`."""
        self._queue.clear()
        self._cache.clear()
