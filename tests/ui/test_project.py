"""What is known of a project is what its folder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynface_video.errors import InputError
from dynface_video.jobs.lock import job_lock
from dynface_video.ui.project import (
    FAILED,
    FINISHED,
    FOUND,
    NEW,
    QUEUED,
    RESTORE,
    RUNNING,
    STOPPED,
    WORK,
    Project,
    Request,
)
from dynface_video.ui.workspace import Workspace
from ui_projects import found, uploaded


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "work")


def test_the_state_follows_from_the_files(workspace: Workspace) -> None:
    project = workspace.add_upload(uploaded(workspace))
    assert project.state == QUEUED
    project.end()
    assert project.state == NEW
    project = found(workspace)
    assert project.state == FOUND
    project.ask(Request(RESTORE, 1.0))
    with job_lock(project.folder / WORK):
        assert project.state == RUNNING
    project.ask(Request(RESTORE, 1.0, stop="after"))
    assert project.state == STOPPED
    project.end("the disk is full")
    assert (project.state, project.failure) == (FAILED, "the disk is full")
    project.ask(Request(RESTORE, 2.0))
    project.output.write_bytes(b"restored")
    project.end()
    assert project.state == FINISHED and project.request is None


def test_a_request_is_read_as_it_was_written(workspace: Workspace) -> None:
    project, request = found(workspace), Request(RESTORE, 12.5, 3.0, 2.0, "now")
    project.ask(request)
    assert Project(project.folder).request == request


def test_at_first_everybody_is_chosen_and_then_those_who_were_with_their_strengths(workspace: Workspace) -> None:
    project = found(workspace)
    assert project.choice == {1: 0.55, 2: 0.55}
    project.choose({2: 0.3})
    assert Project(project.folder).choice == {2: 0.3}
    with pytest.raises(InputError, match="no person 3; known: 1, 2"):
        project.choose({3: 0.5})
    with pytest.raises(InputError, match=r"strength of person 1 is 1\.5"):
        project.choose({1: 1.5})
    assert project.choice == {2: 0.3}


def test_the_output_keeps_a_container_that_keeps_times(workspace: Workspace) -> None:
    assert found(workspace, "a.mp4").output.name == "restored.mp4"
    assert found(workspace, "a.avi").output.name == "restored.mkv"


def test_a_damaged_file_counts_as_missing(workspace: Workspace) -> None:
    project = found(workspace)
    (project.folder / "choice.json").write_text("{")
    (project.folder / "people.json").write_text("{")
    assert project.people == [] and project.choice == {}
