"""Segments done by a pool of Ray actors: the only module that imports Ray (DESIGN.md, Jobs).

Only paths, spans and small records cross process boundaries. The driver keeps the pool itself and decides on failures:
a segment whose worker was lost is tried again, rather on another one, up to `ATTEMPTS` times.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynface_video.errors import InputError, JobError
from dynface_video.jobs.directory import SegmentResult
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.worker import WorkerSpec

logger = logging.getLogger(__name__)

ATTEMPTS = 3
CALLS_AN_ACTOR = 2


@dataclass(frozen=True)
class _Call:
    segment: Segment
    actor: int
    attempt: int


def run_on_ray(spec: WorkerSpec, segments: Sequence[Segment], *, workers: int) -> Iterator[SegmentResult]:
    """Restore the segments on at most `workers` actors; results come as they are done, in no fixed order.

    A cluster that this process has joined is used; otherwise Ray is started on this machine and stopped at the end.
    Raises InputError when the cluster has no room for a single worker, JobError when a segment fails: what is finished
    is kept.
    """
    import ray

    started_here = not ray.is_initialized()
    if started_here:
        # Without "local", Ray would join whatever RAY_ADDRESS names, and refuse to be told a number of processors.
        ray.init(
            address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
        spec = replace(spec, threads=max(1, (os.cpu_count() or 1) // workers))
    actors: list[Any] = []
    try:
        actors = _make_actors(ray, spec, min(workers, len(segments)))
        yield from _drive(ray, actors, segments)
    finally:
        for actor in actors:
            ray.kill(actor)
        if started_here:
            ray.shutdown()


def _make_actors(ray: Any, spec: WorkerSpec, wanted: int) -> list[Any]:
    class Actor:
        def __init__(self, spec: WorkerSpec) -> None:
            self.worker = spec.make()

        def run(self, segment: Segment) -> SegmentResult:
            return self.worker.run(segment)

    # What counts is what the cluster has: the driver may sit on a node without a GPU.
    resources, device = ray.cluster_resources(), spec.settings.execution.device
    gpus = 1 if device.startswith("cuda") or (device == "auto" and resources.get("GPU", 0) >= 1) else 0
    kind = "GPU" if gpus else "CPU"
    room = int(resources.get(kind, 0))
    if room < 1:
        raise InputError(f"Ray has no {kind} for a worker; use --workers 1 or --device cpu")
    if room < wanted:
        logger.warning("Ray has only %d %ss: %d workers instead of %d", room, kind, room, wanted)
    # Retries are the driver's: Ray would repeat a call elsewhere without a word.
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=0)(Actor)
    return [remote.remote(spec) for _ in range(min(room, wanted))]


def _drive(ray: Any, actors: Sequence[Any], segments: Sequence[Segment]) -> Iterator[SegmentResult]:
    waiting = deque((segment, 1) for segment in segments)
    running: dict[Any, _Call] = {}
    load, failures = [0] * len(actors), [0] * len(actors)
    while waiting or running:
        while waiting and min(load) < CALLS_AN_ACTOR:
            free = [number for number in range(len(actors)) if load[number] < CALLS_AN_ACTOR]
            # One that has failed comes last: a bad node must not use up a segment's attempts.
            actor = min(free, key=lambda number: (failures[number], load[number]))
            segment, attempt = waiting.popleft()
            running[actors[actor].run.remote(segment)] = _Call(segment, actor, attempt)
            load[actor] += 1
        (done,), _ = ray.wait(list(running), num_returns=1)
        call = running.pop(done)
        load[call.actor] -= 1
        try:
            yield ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise JobError(_failure(call, str(error.cause or error))) from error
        except ray.exceptions.RayError as error:
            failures[call.actor] += 1
            if call.attempt >= ATTEMPTS:
                raise JobError(_failure(call, f"its worker was lost {ATTEMPTS} times ({error})")) from error
            logger.warning("the worker of segment %d was lost; the segment is tried again", call.segment.number)
            waiting.appendleft((call.segment, call.attempt + 1))


def _failure(call: _Call, reason: str) -> str:
    segment = call.segment
    return f"frames {segment.start} to {segment.stop - 1} could not be restored: {reason}"
