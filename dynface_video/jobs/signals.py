"""Signals: Ctrl-C once finishes the running calls and then stops, twice stops at once; SIGTERM is like Ctrl-C once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from dynface_video.errors import Interrupted

logger = logging.getLogger(__name__)

HANDLED = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """Whether, and by which signal, a job was asked to stop.

    Args:
        signal: Number of the signal; None while none has arrived.
        finishing: Says what is finished first, such as "frames 0 to 119"; empty if nothing is.
    """

    signal: int | None = None
    finishing: Callable[[], str] = field(default=lambda: "", compare=False)

    @property
    def requested(self) -> bool:
        """Whether to submit nothing new."""
        return self.signal is not None

    def check(self) -> None:
        """Raise `Interrupted` if a stop was requested."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def install(self) -> None:
        """Install the handlers; repeated after Ray has started, which installs one for SIGTERM."""
        if threading.current_thread() is threading.main_thread():
            # A shell's background job is started with SIGINT ignored, and must keep ignoring it.
            for number in HANDLED:
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise Interrupted(number)
        if self.signal is None:
            logger.warning("%s", self._announcement(number))
        self.signal = number

    def _announcement(self, number: int) -> str:
        first = self.finishing()
        if not first:
            return "stopping; finished work is kept"
        again = "; Ctrl-C again stops now and loses only that" if number == signal.SIGINT else ""
        return f"stopping after {first}, to be kept like everything finished{again}"


@contextmanager
def handled_signals() -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM inside the block, and restore the previous handlers afterwards.

    Python handles signals in the main thread only: in any other, the request never changes.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in HANDLED}
    stop.install()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
