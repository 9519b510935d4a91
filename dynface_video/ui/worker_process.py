"""A process that carries out one request after the other: what it has loaded serves the next one, too."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class WorkerProcess:
    """Starts a process, gives it the folders of projects as JSON strings, a line each, and hears when each is done.

    It outlives the server: without further lines it ends after the request under way.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start the process.

        Args:
            command: The program with its arguments; it answers each line with a line.
            log: File to which its messages are appended, until it has a project.
        """
        with open(log, "ab") as messages:
            # A session of its own: Ctrl-C in the server's terminal is not for the process.
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                start_new_session=True,
            )
        self._given = self._answered = 0
        threading.Thread(target=self._listen, name="answers", daemon=True).start()

    def give(self, folder: Path) -> None:
        """Give it the project in a folder."""
        assert self._process.stdin is not None
        self._given += 1
        # A process that has just died is seen by its exit code.
        with suppress(OSError):
            self._process.stdin.write(json.dumps(str(folder)).encode() + b"\n")
            self._process.stdin.flush()

    @property
    def is_busy(self) -> bool:
        """Whether it has not answered yet. One that has died never will: see `exit_code`."""
        return self._answered < self._given

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it lives."""
        return self._process.poll()

    def end(self) -> None:
        """Let an idle process end; a busy one stops after the segment under way."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        if self.is_busy:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; raises subprocess.TimeoutExpired."""
        self._process.wait(seconds)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            self._answered += 1
