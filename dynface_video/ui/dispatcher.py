"""Carries out the queue: one request after the other, each in a process of its own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from dynface_video.ui.project import QUEUED, Project
from dynface_video.ui.workspace import Workspace

logger = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two checks of the queue."""
LAST_LINES = 3
"""Lines of a process's messages that are shown when it ends without a word of its own."""
COMMAND = (sys.executable, "-m", "dynface_video.ui.work")

Start = Callable[[Project], "subprocess.Popen[bytes]"]


class Dispatcher:
    """Starts the requests of a workspace in their order.

    It remembers nothing: whether a project is running is known by its lock, so that requests that an ended server had
    started run on, and those in the queue are done by the next one.
    """

    def __init__(self, workspace: Workspace, options: Mapping[str, Any], start: Start | None = None) -> None:
        """Create a dispatcher.

        Args:
            workspace: Whose queue.
            options: Arguments of the functions of `dynface_video.api`, as JSON data.
            start: Starts the process for a project; by default the module `work`.
        """
        self._workspace, self._options = workspace, json.dumps(dict(options))
        self._start = start or self._start_process
        self._current: tuple[Project, subprocess.Popen[bytes]] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End. The running request is told to stop after the segment under way and stays in the queue."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._current is not None:
            self._current[1].terminate()

    def step(self) -> None:
        """Take note of a process that has ended, and start the next request if nothing is running."""
        if self._current is not None:
            project, process = self._current
            if process.poll() is None:
                return
            self._current = None
            if process.returncode != 0:
                _record_failure(project, process.returncode)
        projects = self._workspace.projects()
        if any(project.is_running() for project in projects):
            return
        waiting = [
            (request.since, project)
            for project in projects
            if (request := project.request) is not None and project.state == QUEUED
        ]
        if waiting:
            project = min(waiting, key=lambda one: one[0])[1]
            self._current = project, self._start(project)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self.step()
            except OSError as error:
                logger.warning("the queue cannot be read (%s); trying again", error)

    def _start_process(self, project: Project) -> subprocess.Popen[bytes]:
        with open(project.folder / "log.txt", "ab") as log:
            # A session of its own: Ctrl-C in the server's terminal is not for the process.
            return subprocess.Popen(
                [*COMMAND, str(project.folder), self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _record_failure(project: Project, code: int) -> None:
    request = project.request
    # A request that was stopped is no failure, whatever it ended with.
    if request is None or request.stop:
        return
    lines = (project.folder / "log.txt").read_text(errors="replace").splitlines()[-LAST_LINES:]
    project.end(f"the process ended with code {code}: {' / '.join(lines) or 'without a message'}")
