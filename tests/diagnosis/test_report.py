from __future__ import annotations

from pathlib import Path

import pytest

from dynface_video.diagnosis import report
from dynface_video.diagnosis.machine import Device
from dynface_video.diagnosis.report import Diagnosis, diagnose
from dynface_video.models.registry import fetch
from model_files import CONTENT, OwnMachine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnMachine:
    """A healthy machine on which looking takes no time."""
    monkeypatch.setattr(report, "devices", lambda: [Device("cpu", "2 cores", 8 * 10**9, 6 * 10**9)])
    monkeypatch.setattr(report, "has_unused_driver", lambda found: False)
    monkeypatch.setattr(report, "_encoders", lambda: {"libx264": ""})
    monkeypatch.setattr(report, "_loading_fault", lambda name: "")
    monkeypatch.setattr(report, "LITTLE_DISK", 0)
    for name in ("RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return OwnMachine(tmp_path, monkeypatch)


def problems(found: Diagnosis) -> list[tuple[str, str]]:
    return [(problem.text, problem.remedy) for problem in found.problems]


def test_a_healthy_machine_has_no_problems(machine: OwnMachine) -> None:
    found = diagnose()
    assert found.usable and not found.problems
    assert found.embedded == {"mini": ""}
    assert found.storage["home"] == str(machine.home)
    assert not machine.home.exists()


def test_models_have_their_state_and_the_command_that_fetches_them(machine: OwnMachine) -> None:
    machine.declare("net")
    (machine.mirror / "net.pth").write_bytes(CONTENT)
    fetch("net", mirror=str(machine.mirror))
    rows = {row["name"]: row for row in diagnose().models}
    assert rows["net"]["state"] == "verified"
    assert (rows["codeformer"]["state"], rows["codeformer"]["accepted"]) == ("missing", False)
    assert rows["codeformer"]["command"] == "dynface-video models fetch codeformer --accept-license"


def test_a_damaged_model_is_a_problem(machine: OwnMachine) -> None:
    machine.declare("net", size=len(CONTENT))
    (machine.mirror / "net.pth").write_bytes(CONTENT)
    fetch("net", mirror=str(machine.mirror)).path.write_bytes(b"short")
    ((text, remedy),) = problems(diagnose())
    assert text.startswith("net: ") and text.endswith("is damaged")
    assert remedy == "`dynface-video models remove net`, then `dynface-video models fetch net`"


def test_a_broken_catalogue_is_a_problem(machine: OwnMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.yaml").write_text("- a")
    monkeypatch.setenv("DYNFACE_CATALOGUE", str(tmp_path / "broken.yaml"))
    found = diagnose()
    assert found.models == () and found.usable
    assert "broken.yaml" in found.problems[0].text


def test_libraries_that_cannot_be_loaded_are_fatal(machine: OwnMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[Device]:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(report, "devices", missing)
    found = diagnose()
    assert not found.usable
    assert "torchvision::nms does not exist" in found.problems[0].text


def test_embedded_models_that_do_not_load_are_fatal(machine: OwnMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_loading_fault", lambda name: "config.json is missing")
    found = diagnose()
    assert not found.usable
    assert problems(found) == [
        ("the embedded models mini cannot be loaded: config.json is missing", "reinstall the package")
    ]


def test_what_is_short_or_broken_is_named(machine: OwnMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Device("cpu", "", 8 * 10**9, 10**9), Device("cuda:0", "", error="CUDA error: unknown")]
    monkeypatch.setattr(report, "devices", lambda: found)
    monkeypatch.setattr(report, "has_unused_driver", lambda found: True)
    monkeypatch.setattr(report, "_encoders", lambda: {"libx264": "not part of PyAV's FFmpeg"})
    monkeypatch.setattr(report, "LITTLE_DISK", 10**18)
    texts = [text for text, _ in problems(diagnose())]
    for wanted in (
        "cpu: only 1.0 GB of memory are free",
        "cuda:0: CUDA error: unknown",
        "an NVIDIA driver is loaded, but torch sees no GPU",
        "the default encoder libx264 not part of PyAV's FFmpeg",
    ):
        assert wanted in texts
    assert any(text.startswith("only ") and "GB are free in" in text for text in texts)
    assert diagnose().usable


def test_a_file_where_the_cache_should_be_is_a_problem(
    machine: OwnMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DYNFACE_HOME", str(tmp_path / "file"))
    assert problems(diagnose()) == [(f"{tmp_path / 'file'} cannot be written", "set DYNFACE_HOME to another folder")]


def test_a_cluster_is_found_by_its_file_or_the_environment(
    machine: OwnMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert diagnose().ray["cluster"] is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379\n")
    assert diagnose().ray["cluster"] == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert diagnose().ray["cluster"] == "10.0.0.2:6379"
