"""How many workers `workers: auto` means."""

from __future__ import annotations

import os

import pytest

from dynface_video.config import ExecutionSettings, load_settings
from dynface_video.errors import InputError
from dynface_video.jobs import workers
from dynface_video.jobs.workers import local_cpus, local_workers, workers_for


@pytest.mark.parametrize(
    ("settings", "cores", "gpus", "count"),
    [
        ({}, 16, 4, 4),
        ({"gpus_per_worker": 0.25}, 16, 2, 8),
        ({"gpus_per_worker": 2.0}, 16, 1, 1),
        ({}, 16, 0, 8),
        ({}, 3, 0, 1),
        ({}, 1, 0, 1),
        ({"threads": 4}, 16, 0, 4),
    ],
)
def test_one_worker_per_gpu_or_per_two_cores(settings: dict[str, float], cores: int, gpus: int, count: int) -> None:
    assert workers_for(ExecutionSettings(workers="auto", **settings), cores=cores, gpus=gpus) == count


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"workers": 5}, 5),
        ({"device": "auto"}, 3),
        ({"device": "cuda"}, 3),
        ({"device": "cpu"}, 4),
        ({"device": "cuda:1"}, 1),
        ({"device": "mps"}, 1),
        ({"address": "auto"}, None),
    ],
)
def test_a_machine_is_counted_and_a_cluster_is_asked_later(
    settings: dict[str, str], count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_gpus", lambda: 3)
    monkeypatch.setattr(workers, "_cores", lambda: 8)
    assert local_workers(ExecutionSettings(**({"workers": "auto"} | settings))) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(("device", "gpus", "cpus"), [("cpu", 2, 3), ("auto", 0, 3), ("auto", 2, 8), ("cuda", 2, 8)])
def test_with_gpus_there_are_cpus_beside_those_of_the_workers(
    device: str, gpus: int, cpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_gpus", lambda: gpus)
    monkeypatch.setattr(workers, "_cores", lambda: 8)
    assert local_cpus(ExecutionSettings(device=device), 3) == cpus
    assert local_cpus(ExecutionSettings(device=device), 9) == (10 if cpus == 8 else 9)


def test_only_the_cores_that_a_process_may_use_count() -> None:
    assert workers._cores() == len(os.sched_getaffinity(0))


def test_workers_are_a_number_or_auto() -> None:
    assert load_settings("mini", None, {"workers": "auto"}).execution.workers == "auto"
    for wrong, message in ((0, "at least 1, or auto"), ("many", "a valid integer or 'auto'")):
        with pytest.raises(InputError, match=message):
            load_settings("mini", None, {"workers": wrong})
