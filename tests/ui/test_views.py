"""What the page says of a project, and that names cannot become markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dynface_video.jobs.lock import job_lock
from dynface_video.ui.project import RESTORE, WORK, Request
from dynface_video.ui.views import download_html, download_name, portrait_html, project_label, status_html, video_html
from dynface_video.ui.workspace import Workspace
from ui_projects import found, uploaded


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "work")


def test_progress_is_told_in_frames_and_in_the_list_in_percent(workspace: Workspace) -> None:
    project = found(workspace)
    project.ask(Request(RESTORE, 1.0))
    project.progress_path.write_text(json.dumps({"stage": "restore", "done": 30, "total": 120}))
    with job_lock(project.folder / WORK):
        status = status_html(project)
        assert "Restoring" in status and "restoring faces, 30 of 120 frames" in status
        assert 'max="120" value="30"' in status and 'aria-live="polite"' in status
        assert project_label(project) == "film: running 25 %"
        project.ask(Request(RESTORE, 1.0, stop="after"))
        assert "Stopping after the segment under way" in status_html(project)
        project.ask(Request(RESTORE, 1.0, stop="now"))
        assert "Stopping now" in status_html(project)
    assert "Press Go on" in status_html(project)
    assert project_label(project) == "film: stopped"


def test_a_failure_is_shown_with_its_reason(workspace: Workspace) -> None:
    project = found(workspace)
    project.end("the disk is full: <b>free</b> some space")
    assert '<p role="alert">the disk is full: &lt;b&gt;free&lt;/b&gt; some space</p>' in status_html(project)


def test_names_are_no_markup(workspace: Workspace) -> None:
    project = workspace.add_upload(uploaded(workspace, "<img src=x onerror=alert(1)>.mp4"))
    project.output.write_bytes(b"restored")
    shown = status_html(project) + download_html(project.output, download_name(project))
    assert "<img" not in shown and "&lt;img" in shown


def test_players_and_links_appear_with_their_files(workspace: Workspace) -> None:
    project = found(workspace)
    assert video_html(project.preview, "Preview") == download_html(project.output, "film.mp4") == ""
    project.preview.write_bytes(b"preview")
    project.output.write_bytes(bytes(1_500_000))
    assert f"gradio_api/file={project.preview}?v=" in video_html(project.preview, "Preview")
    link = download_html(project.output, download_name(project))
    assert 'download="film_restored.mp4"' in link and "(1.5 MB)" in link


def test_a_portrait_has_number_times_and_size(workspace: Workspace) -> None:
    project = found(workspace)
    project.portrait(2).parent.mkdir()
    project.portrait(2).write_bytes(b"png")
    person = project.people[1] | {"times": [[0, 1.5], [3, 4], [60, 61]]}
    card = portrait_html(project.portrait(2), "Person 2", person)
    assert 'alt="Person 2"' in card and "00:00-00:01.5, 00:03-00:04 and 1 more" in card
    assert "36 frames, 80 px, about 5 s" in card
