from __future__ import annotations

import json
from pathlib import Path

import pytest

from dynface_video.cli.doctor import page
from dynface_video.diagnosis import report
from dynface_video.diagnosis.machine import Device
from dynface_video.diagnosis.report import Diagnosis, Problem
from fake_api import Command
from model_files import OwnMachine

FOUND = Diagnosis(
    versions={"dynface-video": "1.0", "python": "3.12", "platform": "Linux", "torch": "2.9", "ray": None},
    optional={"spandrel": None, "s3fs": "2025.1"},
    devices=(
        Device("cpu", "8 cores", 16 * 10**9, 9 * 10**9),
        Device("cuda:0", "NVIDIA H100", 80 * 10**9, 79 * 10**9, bfloat16=True),
        Device("cuda:1", "NVIDIA GPU", error="is lost"),
    ),
    encoders={"libx264": "", "h264_nvenc": "cannot be started (no driver)"},
    embedded={"mini": ""},
    models=(
        {"name": "gfpgan-1.4", "state": "verified", "licence": "Apache-2.0", "accepted": True, "command": "fetch it"},
        {"name": "codeformer", "state": "missing", "licence": "S-Lab-1.0", "accepted": False, "command": "fetch it"},
    ),
    storage={"home": "/cache", "free": 5 * 10**9, "mirror": "/mirror", "offline": True},
    ray={"version": None, "cluster": None},
    problems=(Problem("cuda:1 is lost", "check the driver"),),
)


def test_the_page_has_a_line_for_everything() -> None:
    text = "\n".join(page(FOUND))
    for line in (
        "dynface-video 1.0, Python 3.12, Linux",
        "torch 2.9, ray missing",
        "  cpu     8 cores, 16.0 GB memory, 9.0 GB free",
        "  cuda:0  NVIDIA H100, 80.0 GB memory, 79.0 GB free, bfloat16",
        "  cuda:1  NVIDIA GPU, cannot be used: is lost",
        "  libx264     works",
        "  h264_nvenc  cannot be started (no driver)",
        "models in /cache, 5.0 GB free",
        "  mini        embedded, loads",
        "  gfpgan-1.4  verified",
        "  codeformer  missing: fetch it  (S-Lab-1.0: no commercial use)",
        "  mirror      /mirror",
        "  spandrel  not installed; for public face restorers (--restorer): pip install 'dynface-video[models]'",
        "  s3fs      2025.1",
        "ray missing: no cluster on this machine; --workers starts one",
        "  cuda:1 is lost\n    -> check the driver",
    ):
        assert f"{line}\n" in text + "\n", line


def test_this_machine_as_json(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OwnMachine(tmp_path, monkeypatch)
    code, out, _ = command("doctor", "--json")
    answer = json.loads(out)
    assert (code, answer["usable"], answer["embedded"]) == (0, True, {"mini": ""})
    assert answer["encoders"]["libx264"] == "" and answer["devices"][0]["name"] == "cpu"


def test_an_unusable_machine_ends_with_1(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Problem("the libraries cannot be loaded", "install anew", fatal=True)
    monkeypatch.setattr(report, "diagnose", lambda: Diagnosis(**vars(FOUND) | {"problems": (broken,)}))
    code, out, _ = command("doctor")
    assert code == 1
    assert out.endswith("problems:\n  the libraries cannot be loaded\n    -> install anew\n")
