from __future__ import annotations

import sys
from types import ModuleType

import pytest

import dynface_video
from dynface_video.cli.main import main
from fake_api import Command, FakeApi


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    module = ModuleType("dynface_video.api")
    for name in ("restore_video", "analyze_video", "list_people", "plan_video", "preview_video", "compare_videos"):
        setattr(module, name, getattr(fake, name))
    monkeypatch.setitem(sys.modules, "dynface_video.api", module)
    monkeypatch.setattr(dynface_video, "api", module, raising=False)
    return fake


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Give a command; returns the exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
