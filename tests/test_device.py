from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import dynface_video
from dynface_video.device import MPS_FALLBACK, _log_mps_fallback, resolve_device
from dynface_video.errors import InputError


@pytest.fixture
def apple_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    _log_mps_fallback.cache_clear()
    yield
    _log_mps_fallback.cache_clear()


@pytest.mark.parametrize("name", ["tpu9", "meta", "cpuu"])
def test_an_unknown_device_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown torch device '{name}'; use auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="device 'cuda:2' not found: torch sees 2 GPUs"):
        resolve_device("cuda:2")
    with pytest.raises(InputError, match="device 'mps' not found: torch sees no Apple GPU"):
        resolve_device("mps")
    assert resolve_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_the_first_gpu_or_the_cpu(available: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto").type == kind


@pytest.mark.parametrize(("value", "level"), [("1", logging.INFO), ("0", logging.WARNING)])
def test_what_an_apple_gpu_lacks_is_told_in_one_line(
    apple_gpu: None, value: str, level: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(MPS_FALLBACK, value)
    caplog.set_level(logging.INFO, "dynface_video")
    assert resolve_device("mps") == resolve_device("mps") == torch.device("mps")
    assert [(record.levelno, "Apple GPU" in record.message) for record in caplog.records] == [(level, True)]


@pytest.mark.parametrize("given", [None, "0"])
def test_the_fallback_is_on_before_torch_is_imported_unless_turned_off(given: str | None) -> None:
    program = f"import sys; sys.platform = 'darwin'; import dynface_video, os; print(os.environ['{MPS_FALLBACK}'])"
    environment = {name: value for name, value in os.environ.items() if name != MPS_FALLBACK}
    environment |= {"PYTHONPATH": str(Path(dynface_video.__file__).parents[1])}
    environment |= {} if given is None else {MPS_FALLBACK: given}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [given or "1"]
