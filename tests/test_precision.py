"""bfloat16 is chosen where the CPU or the GPUs compute with it, once for all workers of a job."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dynface_video import precision
from dynface_video.config import ExecutionSettings, load_settings
from dynface_video.jobs.video_job import describe_plan
from dynface_video.passes.model_cache import ModelCache
from dynface_video.precision import cpu_computes_bfloat16, resolve_precision, torch_dtype


@pytest.mark.parametrize("able", [True, False])
def test_auto_is_bfloat16_on_a_cpu_that_computes_with_it(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_computes_bfloat16", lambda: able)
    assert resolve_precision(ExecutionSettings(device="cpu")) == ("bfloat16" if able else "float32")
    assert resolve_precision(ExecutionSettings(device="cpu", address="10.0.0.1:6379")) == "float32"
    assert resolve_precision(ExecutionSettings(device="cpu", precision="float32")) == "float32"


@pytest.mark.parametrize(
    ("capabilities", "device", "chosen"),
    [
        ([(9, 0)], "cuda", "bfloat16"),
        ([(8, 0)], "auto", "bfloat16"),
        ([(7, 5)], "cuda", "float32"),
        ([(9, 0), (7, 5)], "cuda", "float32"),
        ([(9, 0), (7, 5)], "cuda:0", "bfloat16"),
        ([(9, 0), (7, 5)], "cuda:1", "float32"),
        ([(9, 0)], "cuda:1", "float32"),
        ([], "cuda", "float32"),
        ([(9, 0)], "mps", "float32"),
    ],
)
def test_auto_is_bfloat16_if_every_gpu_that_may_be_used_computes_with_it(
    capabilities: list[tuple[int, int]], device: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_computes_bfloat16", lambda: False)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capabilities[index])
    assert resolve_precision(ExecutionSettings(device=device)) == chosen
    assert resolve_precision(ExecutionSettings(device=device, address="10.0.0.1:6379")) == "float32"
    assert resolve_precision(ExecutionSettings(device=device, precision="float32")) == "float32"
    assert resolve_precision(ExecutionSettings(device=device, precision="bfloat16")) == "bfloat16"


def test_auto_is_float32_on_the_gpus_of_rocm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 4))
    assert resolve_precision(ExecutionSettings(device="cuda")) == "float32"


def test_a_pytorch_that_cannot_tell_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not cpu_computes_bfloat16()


def test_the_precision_is_part_of_a_job_and_of_loaded_networks(tmp_path: Path) -> None:
    settings = [load_settings("mini", None, {"device": "cpu", "precision": name}) for name in ("float32", "bfloat16")]
    plans = [describe_plan(tmp_path / "film.mp4", "digest", one, {}) for one in settings]
    assert plans[0].digest() != plans[1].digest()
    cache = ModelCache()
    pipelines = [cache.get(one).pipeline for one in settings]
    assert [pipeline.dtype for pipeline in pipelines] == [torch_dtype("float32"), torch_dtype("bfloat16")]
    assert [pipeline.stages[0].dtype for pipeline in pipelines] == [torch.float32, torch.bfloat16]
