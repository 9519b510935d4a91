"""The page as it is served: its API, the files that it gives out, and what it sends to nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dynface_video
from dynface_video.ui.project import FIND, QUEUED, RESTORE
from dynface_video.ui.workspace import Workspace
from ui_projects import found

pytest.importorskip("gradio", reason="the page needs the extra ui")

ROOT = Path(dynface_video.__file__).parents[1]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("page")
    (folder / "given.mkv").write_bytes(b"film")
    (folder / "private.mkv").write_bytes(b"private")
    return Workspace.open(folder / "work", [folder / "given.mkv"])


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from dynface_video.ui.serve import make_app

    with TestClient(make_app(workspace, None), base_url="http://127.0.0.1") as client:
        yield client


def call(client: Any, name: str, *arguments: Any) -> Any:
    """Call the API as docs/ui.md does with curl; an error is returned as its text."""
    event = client.post(f"/gradio_api/call/{name}", json={"data": list(arguments)}).json()["event_id"]
    answer = client.get(f"/gradio_api/call/{name}/{event}").text
    kind, data = (line.partition(": ")[2] for line in answer.strip().splitlines()[-2:])
    found = json.loads(data)
    return found["error"] if kind == "error" else found[0]


def test_the_page_is_served_and_loads_nothing_from_elsewhere(client: Any) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "dynface-video" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False and not config["stylesheets"]


def test_the_actions_of_the_page_are_an_api(client: Any, workspace: Workspace) -> None:
    named = client.get("/gradio_api/info").json()["named_endpoints"]
    assert set(named) == {
        f"/{name}"
        for name in ("projects", "videos", "add", "upload", "people", "choose", "preview", "compare", "restore",
                     "stop", "go_on", "status", "remove")
    }  # fmt: skip
    (video,) = call(client, "videos")
    added = call(client, "add", video)
    assert (added["project"], added["state"], added["action"]) == ("given", QUEUED, FIND)
    project = found(workspace)
    assert [person["number"] for person in call(client, "people", project.name)] == [1, 2]
    assert call(client, "choose", project.name, {"2": 0.3})["choice"] == {"2": 0.3}
    assert call(client, "restore", project.name)["action"] == RESTORE
    assert call(client, "stop", project.name, False)["state"] == "stopped"
    assert call(client, "go_on", project.name)["state"] == QUEUED
    assert [one["project"] for one in call(client, "remove", project.name)] == ["given"]


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("status", ("../work",), "there is no project"),
        ("add", ("/etc/hostname",), "is not one of the videos"),
        ("choose", ("given", {"one": 0.3}), "strengths by number"),
        ("preview", ("given", "soon", 3), "is not a time"),
        ("upload", ({"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}},), "was not uploaded"),
        ("upload", ({"path": "../private.mkv", "meta": {"_type": "gradio.FileData"}},), "was not uploaded"),
        ("upload", ({"path": "http://example.org/a.mp4", "meta": {"_type": "gradio.FileData"}},), "was not uploaded"),
        ("status", ({"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}},), "was not uploaded"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason(
    client: Any, workspace: Workspace, name: str, arguments: tuple[Any, ...], reason: str
) -> None:
    answer = call(client, name, *arguments)
    assert reason in str(answer)
    assert not [path for path in workspace.uploads.rglob("*") if path.is_file()]


def test_files_of_the_workspace_are_served_and_no_others(client: Any, workspace: Workspace) -> None:
    project = found(workspace, "served.mp4")
    project.output.write_bytes(bytes(1000))
    served = client.get(f"/gradio_api/file={project.output}", headers={"range": "bytes=0-99"})
    assert (served.status_code, len(served.content)) == (206, 100)
    private = workspace.folder.parent / "private.mkv"
    for path in (
        private, workspace.folder.parent / "given.mkv", "/etc/passwd", f"{workspace.folder}/../private.mkv",
        f"{workspace.folder}/..%2Fprivate.mkv", ROOT / "pyproject.toml",
    ):  # fmt: skip
        answer = client.get(f"/gradio_api/file={path}")
        assert answer.status_code in (403, 404) and answer.content != b"private", path


def test_an_uploaded_video_becomes_a_project(client: Any, workspace: Workspace) -> None:
    (path,) = client.post("/gradio_api/upload", files={"files": ("Home movie.mp4", b"film")}).json()
    answer = call(client, "upload", {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert (answer["project"], answer["title"], answer["action"]) == ("Home_movie", "Home movie.mp4", FIND)
    assert workspace.project("Home_movie").source.read_bytes() == b"film" and not Path(path).exists()


def test_with_a_token_neither_page_nor_files_nor_api_are_open(workspace: Workspace) -> None:
    from starlette.testclient import TestClient

    from dynface_video.ui.serve import make_app

    project = found(workspace, "secret.mp4")
    project.output.write_bytes(b"restored")
    with TestClient(make_app(workspace, "a-token"), base_url="http://example.org") as client:
        for path in ("/", "/config", "/gradio_api/info", f"/gradio_api/file={project.output}"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"authorization": "Bearer a-token"}).status_code == 200
        assert client.post("/gradio_api/call/projects", json={"data": []}).status_code == 401


def test_gradio_is_imported_only_for_the_page() -> None:
    program = (
        "import sys; from dynface_video.cli import main; import dynface_video.ui.work, "
        "dynface_video.ui.dispatcher; print('gradio' in sys.modules, 'fastapi' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
