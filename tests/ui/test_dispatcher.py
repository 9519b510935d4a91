"""The queue is carried out in its order, one request at a time; what dies without a word is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dynface_video.ui.dispatcher import Dispatcher
from dynface_video.ui.project import FAILED, QUEUED, RESTORE, STOPPED, Request
from dynface_video.ui.workspace import Workspace
from ui_projects import found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "work")


def command(work: str) -> list[str]:
    """A small process in the place of the work: what it does for the project in `folder`, a Path."""
    program = f"""
import json, os, sys, time
from pathlib import Path
while line := sys.stdin.readline():
    folder = Path(json.loads(line))
    with open(folder.parent / "given", "a") as given:
        print(folder.name, os.getpid(), file=given)
    {work}
    print("done", flush=True)
"""
    return [sys.executable, "-S", "-c", program]


ENDING = '(folder / "request.json").unlink()'


def given(workspace: Workspace) -> list[list[str]]:
    """Names of the projects that processes were given, with the processes' numbers."""
    path = workspace.folder / "given"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Nobody may have asked for its exit code.
    return "zombie" not in Path(f"/proc/{process}/status").read_text() if Path("/proc/self").exists() else True


def until_it_ends(dispatcher: Dispatcher) -> None:
    assert dispatcher._worker is not None
    dispatcher._worker.wait(20)


def test_requests_are_done_one_after_the_other_in_their_order(workspace: Workspace) -> None:
    first, second = found(workspace, "b.mp4"), found(workspace, "a.mp4")
    first.ask(Request(RESTORE, 1.0))
    second.ask(Request(RESTORE, 2.0))
    dispatcher = Dispatcher(workspace, {}, command(f"time.sleep(0.2); {ENDING}"))
    dispatcher.step()
    until(lambda: len(given(workspace)) == 1)
    dispatcher.step()
    assert [name for name, _ in given(workspace)] == [first.name]
    until(lambda: first.request is None)
    while second.request is not None:
        dispatcher.step()
        time.sleep(0.02)
    (name, process), (other, the_same) = given(workspace)
    assert (name, other) == (first.name, second.name) and process == the_same
    dispatcher.close()


def test_a_process_that_is_idle_for_long_ends(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    dispatcher = Dispatcher(workspace, {}, command(ENDING))
    dispatcher.step()
    worker = dispatcher._worker
    assert worker is not None
    until(lambda: not worker.is_busy)
    dispatcher.step()
    assert dispatcher._worker is worker and worker.exit_code is None
    monkeypatch.setattr("dynface_video.ui.dispatcher.LONGEST_IDLE", 0.0)
    dispatcher.step()
    worker.wait(20)
    assert dispatcher._worker is None and worker.exit_code == 0


def test_a_process_that_dies_is_a_failure_with_its_last_words(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    dispatcher = Dispatcher(workspace, {}, command("raise SystemExit('out of memory')"))
    dispatcher.step()
    until_it_ends(dispatcher)
    dispatcher.step()
    assert project.state == FAILED and project.failure == "the process ended with code 1: out of memory"


def test_what_was_stopped_is_no_failure_and_is_not_started_again(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    dispatcher = Dispatcher(workspace, {}, command("raise SystemExit(130)"))
    dispatcher.step()
    workspace.stop(project)
    until_it_ends(dispatcher)
    dispatcher.step()
    dispatcher.step()
    assert project.state == STOPPED and len(given(workspace)) == 1


def test_a_server_that_ends_leaves_the_request_in_the_queue_for_the_next(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    dispatcher = Dispatcher(workspace, {}, command("time.sleep(60)"))
    dispatcher.start()
    until(lambda: len(given(workspace)) == 1)
    dispatcher.close()
    until_it_ends(dispatcher)
    assert project.state == QUEUED
    following = Dispatcher(workspace, {}, command(ENDING))
    following.step()
    until(lambda: project.request is None)
    following.close()
    until_it_ends(following)


def test_a_request_goes_on_without_its_server_and_the_process_ends_after_it(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from dynface_video.ui.worker_process import WorkerProcess\n"
        "worker = WorkerProcess(sys.argv[2:], Path(sys.argv[1]) / 'log.txt')\n"
        "worker.give(Path(sys.argv[1]))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(project.folder), *command(f"time.sleep(0.5); {ENDING}")], check=True
    )
    until(lambda: project.request is None)
    ((_, process),) = given(workspace)
    until(lambda: not is_alive(int(process)))
