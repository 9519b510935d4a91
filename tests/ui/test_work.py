"""Requests are carried out: people found, a preview, the whole, a comparison; and stopped on request."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import Settings
from dynface_video.errors import InputError, JobError
from dynface_video.jobs.lock import job_lock
from dynface_video.media.output.comparison import GAP
from dynface_video.passes import model_cache
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models
from dynface_video.ui import work
from dynface_video.ui.project import COMPARE, FAILED, FINISHED, FOUND, PREVIEW, RESTORE, STOPPED, WORK, Project, Request
from dynface_video.ui.work import work_on
from dynface_video.ui.workspace import Workspace
from identity import checkered, stand_in

OPTIONS = {"preset": "mini", "config": None, "device": "cpu"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    stand_in(monkeypatch.setattr, centre=(48, 32), change=checkered)
    workspace = Workspace.open(tmp_path / "work")
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(12))
    write_clip(workspace.uploads / "film.mp4", pictures, crf=10, sound=None)
    return workspace.add_upload(workspace.uploads / "film.mp4")


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.int32)


def test_a_project_goes_from_its_people_to_preview_result_and_comparison(project: Project) -> None:
    work_on(project, OPTIONS, ModelCache())
    assert project.state == FOUND and [person["number"] for person in project.people] == [1]
    assert project.portrait(1).exists() and project.request is None

    project.ask(Request(PREVIEW, 1.0, start=0.2, seconds=0.16))
    work_on(project, OPTIONS, ModelCache())
    seen = pictures(project.preview)
    assert seen.shape == (4, 64, 192 + GAP, 3)
    # The face in the middle differs, what is far from it does not.
    assert np.abs(seen[:, 24:40, 40:56] - seen[:, 24:40, 136 + GAP : 152 + GAP]).mean() > 10
    assert np.abs(seen[:, :8, :8] - seen[:, :8, 96 + GAP : 104 + GAP]).mean() < 3

    project.ask(Request(RESTORE, 2.0))
    work_on(project, OPTIONS, ModelCache())
    assert project.state == FINISHED and len(pictures(project.output)) == 12
    assert not project.output.with_name("restored.mp4.job").exists()

    project.ask(Request(COMPARE, 3.0, start=0.0, seconds=0.08))
    work_on(project, OPTIONS, ModelCache())
    assert pictures(project.comparison).shape == (2, 64, 192 + GAP, 3)
    assert not project.progress_path.exists()


def test_who_is_not_chosen_is_not_restored_and_a_new_choice_replaces_the_result(project: Project) -> None:
    work_on(project, OPTIONS, ModelCache())
    project.choose({1: 0.2})
    project.ask(Request(RESTORE, 1.0))
    work_on(project, OPTIONS, ModelCache())
    restored = pictures(project.output)
    chosen = json.loads((project.folder / "chosen.json").read_text())["people"]
    assert [(person["restore"], person["strength"]) for person in chosen] == [(True, 0.2)]
    project.choose({})
    project.ask(Request(RESTORE, 2.0))
    work_on(project, OPTIONS, ModelCache())
    source = pictures(project.source)
    assert np.abs(pictures(project.output) - source).mean() < np.abs(restored - source).mean() / 2


def test_what_cannot_be_done_is_told_and_leaves_the_queue(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object) -> None:
        raise JobError("the disk is full")

    monkeypatch.setattr(work, "_carry_out", failing)
    work_on(project, OPTIONS, ModelCache())
    assert (project.state, project.failure, project.request) == (FAILED, "the disk is full", None)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as in the page's worker; a shell may have started the tests without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_stop_interrupts_and_the_request_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()

    def long(*arguments: object) -> None:
        request = project.request
        assert request is not None
        project.ask(Request(request.action, request.since, stop="after"))
        waiting.wait(20)

    monkeypatch.setattr(work, "_carry_out", long)
    work_on(project, OPTIONS, ModelCache())
    assert project.state == STOPPED and project.failure == "" and not project.progress_path.exists()
    monkeypatch.setattr(work, "_carry_out", lambda *arguments: pytest.fail("a stopped request is not carried out"))
    work_on(project, OPTIONS, ModelCache())


def test_two_processes_do_not_work_on_one_project(project: Project) -> None:
    with job_lock(project.folder / WORK), pytest.raises(InputError, match="another run is working"):
        work_on(project, OPTIONS, ModelCache())


def test_the_networks_serve_from_one_request_to_the_next(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    real, loaded = model_cache.load_models, list[Settings]()

    def load_models(settings: Settings) -> Models:
        loaded.append(settings)
        return real(settings)

    monkeypatch.setattr(model_cache, "load_models", load_models)
    networks = ModelCache()
    for request in (None, Request(PREVIEW, 1.0, seconds=0.1), Request(RESTORE, 2.0)):
        if request is not None:
            project.ask(request)
        assert work_on(project, OPTIONS, networks)
    assert project.state == FINISHED and len(loaded) == 1


def test_a_process_answers_each_project_and_its_messages_go_to_the_project_s_log(project: Project) -> None:
    project.end()
    lines = f"{json.dumps(str(project.folder))}\n" * 2
    command = [sys.executable, "-m", "dynface_video.ui.work", json.dumps(OPTIONS)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    assert done.stdout == "done\ndone\n"
    project.source.unlink()
    project.ask(Request(PREVIEW, 1.0))
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    assert project.state == FAILED and "unexpected FileNotFoundError" in project.failure
    assert done.stdout == "" and "Traceback" in project.log.read_text()
