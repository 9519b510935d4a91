"""The queue is carried out in its order, one request at a time; what dies without a word is a failure."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dynface_video.ui.dispatcher import Dispatcher
from dynface_video.ui.project import FAILED, QUEUED, RESTORE, STOPPED, Project, Request
from dynface_video.ui.workspace import Workspace
from ui_projects import found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "work")


class Started:
    """Starts a small process instead of the work, and remembers for whom."""

    def __init__(self, program: str = "") -> None:
        self.projects: list[Project] = []
        self.program = program

    def __call__(self, project: Project) -> subprocess.Popen[bytes]:
        self.projects.append(project)
        with open(project.folder / "log.txt", "ab") as log:
            return subprocess.Popen([sys.executable, "-S", "-c", self.program], stderr=log)


def until_it_ends(dispatcher: Dispatcher) -> None:
    assert dispatcher._current is not None
    dispatcher._current[1].wait(20)


def test_requests_are_done_one_after_the_other_in_their_order(workspace: Workspace) -> None:
    first, second = found(workspace, "b.mp4"), found(workspace, "a.mp4")
    first.ask(Request(RESTORE, 1.0))
    second.ask(Request(RESTORE, 2.0))
    started = Started("import time; time.sleep(0.3)")
    dispatcher = Dispatcher(workspace, {}, started)
    dispatcher.step()
    dispatcher.step()
    assert started.projects == [first]
    until_it_ends(dispatcher)
    first.end()
    dispatcher.step()
    assert started.projects == [first, second]
    dispatcher.close()


def test_a_process_that_dies_is_a_failure_with_its_last_words(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    dispatcher = Dispatcher(workspace, {}, Started("raise SystemExit('out of memory')"))
    dispatcher.step()
    until_it_ends(dispatcher)
    dispatcher.step()
    assert project.state == FAILED and project.failure == "the process ended with code 1: out of memory"


def test_what_was_stopped_is_no_failure_and_is_not_started_again(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    started = Started("raise SystemExit(130)")
    dispatcher = Dispatcher(workspace, {}, started)
    dispatcher.step()
    workspace.stop(project)
    until_it_ends(dispatcher)
    dispatcher.step()
    dispatcher.step()
    assert project.state == STOPPED and len(started.projects) == 1


def test_a_server_that_ends_leaves_the_request_in_the_queue_for_the_next(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    started = Started("import time; time.sleep(60)")
    dispatcher = Dispatcher(workspace, {}, started)
    dispatcher.start()
    deadline = time.monotonic() + 20
    while not started.projects and time.monotonic() < deadline:
        time.sleep(0.05)
    dispatcher.close()
    assert dispatcher._current is not None
    dispatcher._current[1].wait(20)
    assert project.state == QUEUED
    again = Started()
    following = Dispatcher(workspace, {}, again)
    following.step()
    assert again.projects == [project]
    until_it_ends(following)
