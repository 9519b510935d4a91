"""Carries out the queue: one request after the other, in a process of its own."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dynface_video.ui.project import QUEUED, Project
from dynface_video.ui.worker_process import WorkerProcess
from dynface_video.ui.workspace import Workspace

logger = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two checks of the queue."""
LAST_LINES = 3
"""Lines of a process's messages that are shown when it ends without a word of its own."""
LONGEST_IDLE = 600.0
"""Seconds for which a process without a request keeps the networks in memory."""
COMMAND = (sys.executable, "-m", "dynface_video.ui.work")


class Dispatcher:
    """Starts the requests of a workspace in their order.

    It remembers nothing: whether a project is running is known by its lock, so that requests that an ended server had
    started run on, and those in the queue are done by the next one.
    """

    def __init__(self, workspace: Workspace, options: Mapping[str, Any], command: Sequence[str] = COMMAND) -> None:
        """Create a dispatcher.

        Args:
            workspace: Whose queue.
            options: Arguments of the functions of `dynface_video.api`, as JSON data.
            command: Of the process, see `WorkerProcess`; it gets the options as its last argument.
        """
        self._workspace, self._command = workspace, (*command, json.dumps(dict(options)))
        self._worker: WorkerProcess | None = None
        self._project: Project | None = None
        self._idle_since = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End. The running request stops after the current segment and stays in the queue."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._worker is not None:
            self._worker.end()

    def step(self) -> None:
        """Take note of a request that is done, and start the next one if nothing is running."""
        if self._is_working():
            return
        projects = self._workspace.projects()
        if any(project.is_running() for project in projects):
            return
        waiting = [
            (request.since, project)
            for project in projects
            if (request := project.request) is not None and project.state == QUEUED
        ]
        if waiting:
            self._begin(min(waiting, key=lambda one: one[0])[1])
        elif self._worker is not None and time.monotonic() - self._idle_since > LONGEST_IDLE:
            self._worker.end()
            self._worker = None

    def _is_working(self) -> bool:
        """Whether a request is running; notes a request or a worker process that has ended."""
        if self._worker is None:
            return False
        code = self._worker.exit_code
        if code is None and self._worker.is_busy:
            return True
        if self._project is not None:
            if code:
                _record_failure(self._project, code)
            self._project, self._idle_since = None, time.monotonic()
        if code is not None:
            self._worker = None
        return False

    def _begin(self, project: Project) -> None:
        self._worker = self._worker or WorkerProcess(self._command, project.log)
        self._worker.give(project.folder)
        self._project = project

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self.step()
            except OSError as error:
                logger.warning("the queue cannot be read (%s); trying again", error)


def _record_failure(project: Project, code: int) -> None:
    request = project.request
    # A request that was stopped is no failure, whatever it ended with.
    if request is None or request.stop:
        return
    lines = project.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    project.end(f"the process ended with code {code}: {' / '.join(lines) or 'without a message'}")
