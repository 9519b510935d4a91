"""The command `ui`: what it is given reaches the server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dynface_video.ui.workspace import Workspace
from fake_api import Command


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for the module that serves; collects what it is called with."""
    calls: list[Any] = []

    def serve(workspace: Workspace, binding: Any, options: Any, on_ready: Any) -> None:
        calls.append((workspace, binding, options))
        on_ready("http://somewhere/")

    module = SimpleNamespace(serve=serve, Binding=lambda *arguments: arguments)
    monkeypatch.setitem(sys.modules, "dynface_video.ui.serve", module)
    monkeypatch.setattr("dynface_video.cli.ui._check_installed", lambda: None)
    return calls


def test_by_default_this_machine_is_served_without_a_token(
    served: list[Any], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("ui", "--device", "cpu")
    ((workspace, binding, options),) = served
    assert (code, out) == (0, "") and "open http://somewhere/" in err
    assert workspace.folder == tmp_path / "dynface_ui" and binding == ("127.0.0.1", 7860, None)
    assert options == {"preset": "mini", "config": None, "device": "cpu"}


def test_another_address_gets_a_token(served: list[Any], command: Command, tmp_path: Path) -> None:
    (tmp_path / "film.mkv").touch()
    folder = str(tmp_path / "work")
    assert command("ui", str(tmp_path / "film.mkv"), "--folder", folder, "--host", "0.0.0.0", "--port", "80")[0] == 0
    ((workspace, (host, port, token), _),) = served
    assert (host, port) == ("0.0.0.0", 80) and len(token) >= 32
    assert workspace.given == (tmp_path / "film.mkv",)


def test_unusable_arguments_are_told_before_anything_is_served(
    served: list[Any], command: Command, tmp_path: Path
) -> None:
    folder = str(tmp_path / "work")
    for arguments, reason in (
        (("absent.mkv",), "absent.mkv does not exist"),
        (("--token", "a b"), "letters, digits"),
        (("--device", "tpu"), "device is 'tpu'"),
    ):
        code, _, err = command("ui", "--folder", folder, *arguments)
        assert code == 2 and reason in err
    assert served == []


def test_without_gradio_the_extra_is_named(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else real(name))
    code, _, err = command("ui", "--folder", str(tmp_path / "work"))
    assert code == 2 and "pip install 'dynface-video[ui]'" in err
