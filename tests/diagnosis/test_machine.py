from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import dynface_video
from dynface_video.diagnosis import machine
from dynface_video.diagnosis.machine import Device, devices, has_unused_driver, optional_packages, versions


def test_versions_are_those_that_are_installed() -> None:
    found = versions()
    assert found["dynface-video"] == dynface_video.__version__
    assert found["torch"] == torch.__version__.partition("+")[0] or found["torch"] == torch.__version__
    assert all(found[name] for name in machine.LIBRARIES)
    assert set(optional_packages()) == set(machine.OPTIONAL)


def test_the_processor_has_the_memory_that_a_container_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "MEMORY_FILE": "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 600 kB\n",
        "LIMIT_FILE": "512000\n",
        "USED_FILE": "300000\n",
    }.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert (devices()[0].name, devices()[0].memory, devices()[0].free) == ("cpu", 512_000, 212_000)
    (tmp_path / "LIMIT_FILE").write_text("max\n")
    assert (devices()[0].memory, devices()[0].free) == (1_024_000, 614_400)
    monkeypatch.setattr(machine, "MEMORY_FILE", tmp_path / "absent")
    assert (devices()[0].memory, devices()[0].free) == (None, None)


def test_gpus_are_named_with_their_free_memory_and_one_that_fails_with_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def properties(index: int) -> SimpleNamespace:
        if index == 1:
            raise RuntimeError("CUDA error: out of memory\nmore lines")
        return SimpleNamespace(name="NVIDIA H100", major=9, minor=0)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (70, 80))
    _, first, second = devices()
    assert first == Device("cuda:0", "NVIDIA H100, compute capability 9.0", 80, 70, bfloat16=True)
    assert (second.name, second.error) == ("cuda:1", "CUDA error: out of memory")


def test_a_driver_without_a_gpu_in_torch_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DRIVER_FILE", tmp_path / "version")
    assert not has_unused_driver([Device("cpu", "")])
    (tmp_path / "version").write_text("NVRM version")
    assert has_unused_driver([Device("cpu", "")])
    assert not has_unused_driver([Device("cpu", ""), Device("cuda:0", "")])
