"""Videos get into the workspace only by upload or by the command, and requests only where they make sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynface_video.errors import InputError
from dynface_video.jobs.lock import job_lock
from dynface_video.ui.project import FIND, PREVIEW, QUEUED, STOPPED, WORK, Request
from dynface_video.ui.workspace import Workspace
from ui_projects import found, uploaded


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "work")


def test_an_upload_is_moved_and_its_people_are_searched(workspace: Workspace) -> None:
    path = uploaded(workspace, "Our film (1).MP4", b"content")
    project = workspace.add_upload(path)
    assert not path.exists() and project.source.read_bytes() == b"content"
    assert (project.name, project.title, project.state) == ("Our_film_1", "Our film (1).MP4", QUEUED)
    assert project.request is not None and project.request.action == FIND
    assert [one.name for one in Workspace.open(workspace.folder).projects()] == [project.name]


def test_videos_of_one_name_are_projects_of_different_names(workspace: Workspace) -> None:
    names = [workspace.add_upload(uploaded(workspace)).name for _ in range(3)]
    assert names == ["film", "film-2", "film-3"] == [project.name for project in workspace.projects()]


@pytest.mark.parametrize("place", ["outside.mp4", "work/film.mp4", "work/.uploads/../film.mp4"])
def test_only_uploads_can_be_added_as_such(place: str, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "outside.mp4").write_bytes(b"private")
    (tmp_path / "work" / "film.mp4").write_bytes(b"private")
    with pytest.raises(InputError, match="was not uploaded"):
        workspace.add_upload(tmp_path / place)
    (workspace.uploads / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    with pytest.raises(InputError, match="was not uploaded"):
        workspace.add_upload(workspace.uploads / "link.mp4")
    assert workspace.projects() == []


def test_an_upload_that_is_no_video_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="is not a video by its extension"):
        workspace.add_upload(uploaded(workspace, "page.html"))


def test_only_given_videos_can_be_added_by_their_path(tmp_path: Path) -> None:
    for name in ("films/a.mkv", "films/below/b.mp4", "other/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"film")
    workspace = Workspace.open(tmp_path / "work", [tmp_path / "films"])
    assert [path.name for path in workspace.given] == ["a.mkv", "b.mp4"]
    project = workspace.add_given(str(tmp_path / "films" / "a.mkv"))
    assert project.source == tmp_path / "films" / "a.mkv" and project.source.exists()
    for path in (tmp_path / "other" / "c.mp4", tmp_path / "films" / ".." / "other" / "c.mp4"):
        with pytest.raises(InputError, match="is not one of the videos"):
            workspace.add_given(str(path))
    workspace.remove(project)
    assert (tmp_path / "films" / "a.mkv").exists() and workspace.projects() == []


@pytest.mark.parametrize("name", ["..", "../work", ".uploads", "", "absent"])
def test_a_name_is_no_path(name: str, workspace: Workspace) -> None:
    found(workspace)
    with pytest.raises(InputError, match="there is no project"):
        workspace.project(name)


def test_requests_need_people_a_choice_and_an_idle_project(workspace: Workspace) -> None:
    fresh = workspace.add_upload(uploaded(workspace))
    with pytest.raises(InputError, match="not found yet"):
        workspace.request_restore(fresh)
    project = found(workspace)
    for start, seconds in ((-1.0, 3.0), (0.0, 0.0), (0.0, 1000.0)):
        with pytest.raises(InputError, match="up to 30 seconds"):
            workspace.request_preview(project, start, seconds)
    with pytest.raises(InputError, match="not restored yet"):
        workspace.request_comparison(project, 0.0, 3.0)
    project.choose({})
    with pytest.raises(InputError, match="no person is chosen"):
        workspace.request_restore(project)
    project.choose({1: 0.5})
    workspace.request_preview(project, 1.0, 3.0)
    assert project.request is not None and (project.request.action, project.request.start) == (PREVIEW, 1.0)
    with pytest.raises(InputError, match="is queued; wait for it or stop it first"):
        workspace.request_restore(project)


def test_what_was_stopped_goes_on_and_what_is_running_is_not_removed(workspace: Workspace) -> None:
    project = found(workspace)
    with pytest.raises(InputError, match="is not stopped"):
        workspace.proceed(project)
    workspace.stop(project)
    assert project.request is None
    project.ask(Request(PREVIEW, 1.0))
    workspace.stop(project, now=True)
    assert project.state == STOPPED and project.request is not None and project.request.stop == "now"
    workspace.proceed(project)
    assert project.state == QUEUED
    with job_lock(project.folder / WORK), pytest.raises(InputError, match="is running; stop it first"):
        workspace.remove(project)
    workspace.remove(project)
    assert not project.folder.exists()


def test_a_folder_that_cannot_be_made_and_a_video_that_is_absent_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        Workspace.open(tmp_path / "file" / "work")
    with pytest.raises(InputError, match="absent does not exist"):
        Workspace.open(tmp_path / "work", [tmp_path / "absent"])
