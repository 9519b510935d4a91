"""Calls done by a pool on Ray: the only module of the package that imports Ray (DESIGN.md, Jobs).

Only paths, spans and small records cross process boundaries. The pool is the driver's own: Ray restarts no actor and
repeats no call, because it would do so elsewhere without a word, and a call to an actor that is being restarted fails
at once. A worker that is lost is replaced; a new one gets work only when it has answered, so that nothing waits for a
machine that never comes.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dynface_video.config import ExecutionSettings
from dynface_video.errors import InputError
from dynface_video.jobs.executors.base import (
    ANALYZE,
    ASSEMBLE,
    ERROR,
    LOST,
    MEMORY,
    NODE,
    RESTORE,
    Call,
    Failure,
    Outcome,
    Performer,
)
from dynface_video.jobs.failures import failure_of

logger = logging.getLogger(__name__)

CALLS_A_WORKER = 2
MAX_FAILED_STARTS = 5
LOW_ON_MEMORY = "running low on memory"


class CallRunner:
    """What runs in a process of the pool. It keeps models and videos from call to call."""

    def __init__(self) -> None:
        self._cache: dict[str, Any] = {}

    def where(self) -> tuple[str, str, int]:
        """Ray's number of this node, the machine's name and the process: told once it is up."""
        import ray

        return ray.get_runtime_context().get_node_id(), socket.gethostname(), os.getpid()

    def warm(self, performer: Performer) -> None:
        """Load models before the first call comes; a model that is missing is that call's failure."""
        with suppress(Exception):
            performer.warm(self._cache)

    def perform(self, performer: Performer, call: Call) -> Any:
        """Do a call; what goes wrong comes back as data."""
        try:
            return performer.perform(call, self._cache, lambda done: None)
        except Exception as error:  # whatever it is, it is one segment's failure and not the job's
            return failure_of(error)


@dataclass(eq=False)
class _Worker:
    number: int
    actor: Any
    ready: bool = False
    node: str = ""
    calls: deque[Call] = field(default_factory=deque)
    load: int = 0


class RayExecutor:
    """A pool of actors on the cluster that this process has joined, on one it is told of, or on this machine.

    On GPUs the actors restore, and the first passes and the joining are tasks on processors beside them. Without GPUs
    the actors do everything: the processors are the same ones.
    """

    def __init__(self, execution: ExecutionSettings, *, most_calls: int | None = None) -> None:
        """Start or join Ray; raises InputError when it cannot be reached or has no room for a single worker.

        most_calls: more workers than that would have nothing to do; None where it is not known
        """
        import ray

        self._ray = ray
        self._started_here = _connect(ray, execution)
        wanted = min(execution.workers, most_calls or execution.workers)
        resources = ray.cluster_resources()
        self._gpus = execution.gpus_per_worker if _on_gpus(execution, resources) else 0.0
        self._remote_performers: dict[int, Any] = {}
        self._waiting_for: dict[Any, tuple[_Worker | None, Call | None]] = {}
        self._workers: list[_Worker] = []
        self._made = self._failed_starts = 0
        self._analysts = max(1, int(resources.get("CPU", 1)) - (wanted if self._gpus else 0))
        # A class of its own for each executor: Ray keeps what it has sent for one connection only.
        self._runner = ray.remote(num_cpus=1, num_gpus=self._gpus, max_restarts=0, max_task_retries=0)(CallRunner)
        self._task = ray.remote(num_cpus=1, max_retries=0)(_perform_alone)
        for _ in range(_room(wanted, resources, self._gpus)):
            self._start_worker()

    def register(self, video: int, performer: Performer) -> None:
        """See `Executor`."""
        first = not self._remote_performers
        self._remote_performers[video] = self._ray.put(performer)
        if first:
            for worker in self._workers:
                if worker.ready:
                    self._warm(worker)

    def release(self, video: int) -> None:
        """See `Executor`."""
        self._remote_performers.pop(video, None)

    def takes(self, kind: str) -> bool:
        """See `Executor`."""
        if self._gpus and kind == ASSEMBLE:
            return True
        if self._gpus and kind == ANALYZE:
            analyses = [c for _, c in self._waiting_for.values() if c is not None and c.kind == ANALYZE]
            return len(analyses) < self._analysts
        return self._choose(kind, None) is not None

    def submit(self, call: Call) -> None:
        """See `Executor`."""
        performer = self._remote_performers[call.video]
        if self._gpus and call.kind != RESTORE:
            self._waiting_for[self._task.remote(performer, call)] = (None, call)
            return
        worker = self._choose(call.kind, call.avoid)
        assert worker is not None
        worker.calls.append(call)
        # Behind a whole first pass or a joining nothing else may wait.
        worker.load += 1 if call.kind == RESTORE else CALLS_A_WORKER
        self._waiting_for[worker.actor.perform.remote(performer, call)] = (worker, call)

    @property
    def running(self) -> list[Call]:
        """See `Executor`."""
        return [call for _, call in self._waiting_for.values() if call is not None]

    @property
    def ready_workers(self) -> int:
        """How many workers have come up."""
        return sum(worker.ready for worker in self._workers)

    def wait(self, seconds: float) -> list[Outcome]:
        """See `Executor`."""
        refs = list(self._waiting_for)
        if not refs:
            return []
        done, rest = self._ray.wait(refs, num_returns=1, timeout=seconds, fetch_local=False)
        if done and rest:
            # Whatever else is there already: one question for all, not one for each.
            more, _ = self._ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)
            done += more
        outcomes: list[Outcome] = []
        for ref in done:
            if ref in self._waiting_for:
                outcomes += self._collect(ref)
        return outcomes

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        for ref, (owner, _) in self._waiting_for.items():
            if owner is None:
                self._ray.cancel(ref, force=True)
        self._workers.clear()
        self._waiting_for.clear()
        if self._started_here:
            self._ray.shutdown()

    def _choose(self, kind: str, avoid: int | None) -> _Worker | None:
        most = {RESTORE: CALLS_A_WORKER - 1, ASSEMBLE: CALLS_A_WORKER - 1, ANALYZE: 0}[kind]
        free = [worker for worker in self._workers if worker.ready and worker.load <= most]
        return min(free, key=lambda worker: (worker.number == avoid, worker.load), default=None)

    def _start_worker(self) -> None:
        self._made += 1
        worker = _Worker(self._made, self._runner.remote())
        self._workers.append(worker)
        self._waiting_for[worker.actor.where.remote()] = (worker, None)

    def _warm(self, worker: _Worker) -> None:
        """Let a new worker load what any video needs, while others are still at their first pass."""
        for performer in list(self._remote_performers.values())[:1]:
            worker.actor.warm.remote(performer)

    def _collect(self, ref: Any) -> list[Outcome]:
        worker, call = self._waiting_for.pop(ref)
        try:
            value = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            # What our own code raises comes back as data: this is a value that could not be sent, or the like.
            value = Failure(ERROR, f"{error.cause or error}")
        except self._ray.exceptions.RayError as error:
            return self._lose(worker, call, error)
        if worker is not None and call is None:
            if isinstance(value, Failure):
                return self._lose(worker, None, RuntimeError(value.reason))
            worker.ready, self._failed_starts = True, 0
            worker.node = value[0]
            self._warm(worker)
            return []
        assert call is not None
        if worker is not None:
            worker.calls.remove(call)
            worker.load -= 1 if call.kind == RESTORE else CALLS_A_WORKER
        failure = value if isinstance(value, Failure) else None
        return [Outcome(call, None if failure else value, failure, worker.number if worker else None)]

    def _lose(self, worker: _Worker | None, call: Call | None, error: Exception) -> list[Outcome]:
        """Replace a lost worker. The call it was at has failed; one that only waited behind it has lost nothing."""
        failure = self._why(worker, error)
        if worker is None:
            assert call is not None
            return [Outcome(call, None, failure)]
        for other in [r for r, (owner, _) in self._waiting_for.items() if owner is worker]:
            del self._waiting_for[other]
        self._workers.remove(worker)
        self._ray.kill(worker.actor)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS * max(1, len(self._workers)):
                raise InputError(f"no worker comes up on Ray: {failure.reason}")
        self._start_worker()
        unharmed = Failure(NODE, "the worker that it waited for was lost")
        lost = list(worker.calls)
        return [Outcome(c, None, failure if n == 0 else unharmed, worker.number) for n, c in enumerate(lost)]

    def _why(self, worker: _Worker | None, error: Exception) -> Failure:
        text = " ".join(str(error).split())
        if isinstance(error, self._ray.exceptions.OutOfMemoryError) or LOW_ON_MEMORY in text:
            return Failure(MEMORY, "its process was ended because the machine ran out of memory")
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if isinstance(error, self._ray.exceptions.NodeDiedError) or (worker is not None and worker.node not in alive):
            return Failure(NODE, "its machine was lost")
        return Failure(LOST, f"its process died ({text[:300]})")


def _perform_alone(performer: Performer, call: Call) -> Any:
    return CallRunner().perform(performer, call)


def _connect(ray: Any, execution: ExecutionSettings) -> bool:
    """Join a cluster, or start Ray on this machine; returns whether it was started here and is to be stopped."""
    if ray.is_initialized():
        return False
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if execution.address is not None:
        try:
            ray.init(address=execution.address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"there is no Ray cluster at {execution.address!r} ({reason})") from error
        return True
    # Without "local", Ray would join whatever RAY_ADDRESS names, and refuse to be told a number of processors.
    ray.init(address="local", num_cpus=execution.workers, include_dashboard=False, **quiet)
    return True


def _on_gpus(execution: ExecutionSettings, resources: dict[str, float]) -> bool:
    # What counts is what the cluster has: the driver may sit on a machine without a GPU.
    if execution.device == "auto":
        return resources.get("GPU", 0) > 0
    return execution.device.startswith("cuda")


def _room(wanted: int, resources: dict[str, float], gpus: float) -> int:
    """How many workers to ask for; raises InputError when there is no room for one."""
    kind, each = ("GPU", gpus) if gpus else ("CPU", 1.0)
    room = int(resources.get(kind, 0) / each + 1e-6)
    if room < 1:
        raise InputError(f"Ray has no {kind} for a worker; use --workers 1 or --device cpu")
    if room < wanted:
        logger.warning("Ray has room for only %d workers on its %ss instead of %d", room, kind, wanted)
    return min(room, wanted)
