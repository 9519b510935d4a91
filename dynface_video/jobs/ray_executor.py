"""Segments done by a pool of Ray actors: the only module that imports Ray (DESIGN.md, Jobs).

Only paths, spans and small records cross process boundaries. The driver keeps the pool itself and decides on failures:
a segment whose worker died goes to another one, up to `ATTEMPTS` times.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dynface_video.errors import JobError
from dynface_video.jobs.directory import SegmentResult
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.worker import WorkerSpec
from dynface_video.restorer import resolve_device

logger = logging.getLogger(__name__)

ATTEMPTS = 3
CALLS_AN_ACTOR = 2


@dataclass(frozen=True)
class _Call:
    segment: Segment
    actor: int
    attempt: int


def run_on_ray(
    spec: WorkerSpec, segments: Sequence[Segment], *, workers: int, address: str | None = None
) -> Iterator[SegmentResult]:
    """Restore the segments on `workers` actors; results come as they are done, in no fixed order.

    address: of a cluster to join; None starts Ray on this machine and stops it at the end. Raises JobError when a
    segment fails: what is finished is kept.
    """
    import ray

    started_here = not ray.is_initialized()
    if started_here and address is None:
        # Without "local", Ray would join whatever RAY_ADDRESS names, and refuse to be told a number of processors.
        ray.init(
            address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
    elif started_here:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    actors: list[Any] = []
    try:
        actors = _make_actors(ray, spec, min(workers, len(segments)))
        yield from _drive(ray, actors, segments)
    finally:
        for actor in actors:
            ray.kill(actor)
        if started_here:
            ray.shutdown()


def _make_actors(ray: Any, spec: WorkerSpec, count: int) -> list[Any]:
    class Actor:
        def __init__(self, spec: WorkerSpec) -> None:
            self.worker = spec.make()

        def run(self, segment: Segment) -> SegmentResult:
            return self.worker.run(segment)

    gpus = 1 if resolve_device(spec.settings.execution.device).type == "cuda" else 0
    # Retries are the driver's: Ray would repeat a call elsewhere without a word, and with the same batch size.
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=0)(Actor)
    return [remote.remote(spec) for _ in range(count)]


def _drive(ray: Any, actors: Sequence[Any], segments: Sequence[Segment]) -> Iterator[SegmentResult]:
    waiting = deque((segment, 1) for segment in segments)
    running: dict[Any, _Call] = {}
    load = dict.fromkeys(range(len(actors)), 0)
    while waiting or running:
        while waiting and min(load.values()) < CALLS_AN_ACTOR:
            actor = min(load, key=lambda number: load[number])
            segment, attempt = waiting.popleft()
            running[actors[actor].run.remote(segment)] = _Call(segment, actor, attempt)
            load[actor] += 1
        (done,), _ = ray.wait(list(running), num_returns=1)
        call = running.pop(done)
        load[call.actor] -= 1
        try:
            yield ray.get(done)
        except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as error:
            if call.attempt >= ATTEMPTS:
                raise JobError(_failure(call, f"its worker died {ATTEMPTS} times ({error})")) from error
            logger.warning("the worker of segment %d died; the segment is tried again", call.segment.number)
            waiting.appendleft((call.segment, call.attempt + 1))
        except ray.exceptions.RayTaskError as error:
            raise JobError(_failure(call, str(error.cause or error))) from error


def _failure(call: _Call, reason: str) -> str:
    segment = call.segment
    return f"frames {segment.start} to {segment.stop - 1} could not be restored: {reason}"
