"""Joining Ray and counting its room; what happens when workers die is in `test_faults`."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark_jobs import SleepingPerformer
from dynface_video.config import ExecutionSettings
from dynface_video.errors import InputError
from dynface_video.jobs.executors import ray as executor
from dynface_video.jobs.executors.base import ANALYZE, ASSEMBLE, RESTORE, Call, Outcome
from dynface_video.jobs.executors.ray import _connect, _on_gpus, _worker_count
from dynface_video.jobs.plan import Segment

ROOT = Path(__file__).parents[3]


def test_a_cluster_that_is_not_there_is_named() -> None:
    def init(**options: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init)
    with pytest.raises(InputError, match="no Ray cluster at 'auto'"):
        _connect(ray, ExecutionSettings(address="auto", workers=2))


def test_ray_gets_a_short_folder_where_the_usual_path_is_too_long_for_its_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict[str, Any]()
    ray = SimpleNamespace(is_initialized=lambda: False, init=lambda **options: given.update(options))
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert _connect(ray, ExecutionSettings(workers=2)) and "_temp_dir" not in given
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 120)))
    monkeypatch.setattr(executor, "SHORT_FOLDERS", (tmp_path / "missing", Path("/tmp")))
    assert _connect(ray, ExecutionSettings(workers=2))
    assert Path(given["_temp_dir"]).parent == Path("/tmp") and len(given["_temp_dir"]) <= executor.MAX_FOLDER
    monkeypatch.setattr(executor, "SHORT_FOLDERS", (tmp_path / "missing",))
    with pytest.raises(InputError, match="set RAY_TMPDIR to a folder whose path has at most 36 bytes"):
        _connect(ray, ExecutionSettings(workers=2))


def test_a_connection_that_is_there_is_used_and_left_open() -> None:
    assert not _connect(SimpleNamespace(is_initialized=lambda: True), ExecutionSettings(workers=2))


def test_first_passes_and_joining_run_beside_the_workers_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    # The workers unpickle what the driver registers.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "scripts")]))
    # Ray does not check that the GPUs exist; two workers alone could take both CPUs.
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    try:
        pool = executor.RayExecutor(ExecutionSettings(workers="auto", address="auto"))
        pool.register(0, SleepingPerformer(0.0))
        segment, outcomes = Segment(0, 0, 120), list[Outcome]()
        for call in (Call(0, ANALYZE), Call(0, RESTORE, segment), Call(0, RESTORE, segment), Call(0, ASSEMBLE)):
            while not pool.has_capacity(call.kind):
                outcomes += pool.wait(1.0)
            pool.submit(call)
        while pool.running:
            outcomes += pool.wait(1.0)
        assert sorted(outcome.call.kind for outcome in outcomes) == [ANALYZE, ASSEMBLE, RESTORE, RESTORE]
        assert all(outcome.failure is None for outcome in outcomes)
        # The two GPUs are the workers'; what needs none has no worker.
        assert {o.worker is None for o in outcomes if o.call.kind == RESTORE} == {False}
        assert {o.worker is None for o in outcomes if o.call.kind != RESTORE} == {True}
        pool.close()
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("wanted", "resources", "share", "room"),
    [
        (4, {"CPU": 8.0}, 0.0, 4),
        (4, {"CPU": 2.0}, 0.0, 2),
        (8, {"CPU": 8.0, "GPU": 2.0}, 1.0, 2),
        (8, {"CPU": 8.0, "GPU": 2.0}, 0.3, 6),
    ],
)
def test_there_are_no_more_workers_than_there_is_room(
    wanted: int, resources: dict[str, float], share: float, room: int
) -> None:
    assert _worker_count(wanted, resources, share) == room


def test_no_room_for_one_worker_is_an_error() -> None:
    with pytest.raises(InputError, match="no GPU"):
        _worker_count(2, {"CPU": 8.0}, 1.0)


def test_gpus_are_used_where_the_cluster_has_them() -> None:
    assert _on_gpus(ExecutionSettings(workers=2), {"GPU": 1.0})
    assert not _on_gpus(ExecutionSettings(workers=2), {"CPU": 4.0})
    assert not _on_gpus(ExecutionSettings(workers=2, device="cpu"), {"GPU": 1.0})
