"""Ctrl-C once: finish what runs, then stop; twice: stop now. SIGTERM, as schedulers send it, is like Ctrl-C once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from dynface_video.errors import Interrupted

logger = logging.getLogger(__name__)

STOPPING = "finishing what runs, then stopping"
AGAIN = "; Ctrl-C again stops at once"


@dataclass
class Stop:
    """Whether and by which signal a job was asked to stop."""

    signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether to begin nothing new."""
        return self.signal is not None

    def check(self) -> None:
        """Raise `Interrupted` when a stop was asked for."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def arm(self) -> None:
        """Take the signals over; again after Ray was started, which takes SIGTERM for itself."""
        if threading.current_thread() is threading.main_thread():
            # Whoever ignores a signal, as a shell does for its background jobs, goes on ignoring it.
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise Interrupted(number)
        if self.signal is None:
            logger.warning("%s%s", STOPPING, AGAIN if number == signal.SIGINT else "")
        self.signal = number


@contextmanager
def stopping() -> Iterator[Stop]:
    """Handle the signals inside; the handlers of before come back afterwards. In other threads none are handled."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop.arm()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
