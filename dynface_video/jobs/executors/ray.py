"""Calls executed by a pool of actors on Ray: the only module of the package that imports Ray.

Only paths, spans and small records cross process boundaries. The pool is managed here: Ray restarts no actor and
retries no call, because it would do so silently, and a call to an actor that is being restarted fails at once. A worker
that is lost is replaced. A new worker gets calls only after it has answered, so that no call waits for a machine that
never starts.
"""

from __future__ import annotations

import getpass
import logging
import os
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynface_video.allocation import share_arenas
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
from dynface_video.jobs.executors.dispatch import WorkerLoad, choose_worker
from dynface_video.jobs.failures import failure_of
from dynface_video.jobs.workers import local_cpus, local_workers, workers_for

logger = logging.getLogger(__name__)

MAX_FAILED_STARTS = 5
MAX_FOLDER = 40
"""Bytes of the path of Ray's temporary folder: a socket's has at most 103, of which Ray needs 63 for its session."""
SHORT_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
LOW_ON_MEMORY = "running low on memory"


class CallRunner:
    """Runs in a process of the pool; keeps models and videos between calls."""

    def __init__(self) -> None:
        self._cache: dict[str, Any] = {}

    def node_info(self) -> tuple[str, str, int]:
        """Ray's identifier of the node, the host name and the process; the first answer of a new worker."""
        import ray

        return ray.get_runtime_context().get_node_id(), socket.gethostname(), os.getpid()

    def preload(self, performer: Performer) -> None:
        """Load models before the first call; a missing model is reported by that call.

        Args:
            performer: Of any video of the batch.
        """
        with suppress(Exception):
            performer.preload(self._cache)

    def perform(self, performer: Performer, call: Call) -> Any:
        """Execute a call.

        Args:
            performer: Of the call's video.
            call: The call.

        Returns:
            Its value, or a `Failure`.
        """
        try:
            return performer.perform(call, self._cache, lambda done: None)
        except Exception as error:  # of any kind: it fails one segment, not the job
            return failure_of(error)


@dataclass(eq=False)
class _Worker(WorkerLoad):
    actor: Any = None
    node: str = ""


class RayExecutor:
    """A pool of actors on the cluster that this process has joined, on a given one, or on this machine.

    With GPUs, the actors restore, and first passes and joining are tasks on CPUs beside them. Without GPUs, the actors
    execute all calls: they use the same CPUs.
    """

    def __init__(self, execution: ExecutionSettings, *, max_calls: int | None = None) -> None:
        """Start or join Ray.

        Args:
            execution: Where to run, and with how many workers.
            max_calls: Calls of the batch, beyond which workers would have nothing to do; None if unknown.

        Raises:
            InputError: Ray cannot be reached, or has no room for a worker.
        """
        import ray

        self._ray = ray
        self._started_here = _connect(ray, execution)
        resources = ray.cluster_resources()
        self._gpus = execution.gpus_per_worker if _on_gpus(execution, resources) else 0.0
        gpus = resources.get("GPU", 0) if self._gpus else 0
        wanted = local_workers(execution) or workers_for(execution, cores=resources.get("CPU", 1), gpus=gpus)
        wanted = min(wanted, max_calls or wanted)
        self._remote_performers: dict[int, Any] = {}
        self._pending: dict[Any, tuple[_Worker | None, Call | None]] = {}
        self._workers: list[_Worker] = []
        self._started = self._failed_starts = 0
        self._max_analyses = max(1, int(resources.get("CPU", 1)) - (wanted if self._gpus else 0))
        # Workers on GPUs must leave a CPU for first passes and joining, even on nodes with a single one.
        cpus = 0 if self._gpus and resources.get("CPU", 1) <= wanted else 1
        # A new remote class for each executor: Ray registers a class for one connection only.
        self._runner = ray.remote(num_cpus=cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0)(CallRunner)
        self._task = ray.remote(num_cpus=1, max_retries=0)(_perform_as_task)
        for _ in range(_worker_count(wanted, resources, self._gpus)):
            self._start_worker()

    def register(self, video: int, performer: Performer) -> None:
        """See `Executor`."""
        first = not self._remote_performers
        self._remote_performers[video] = self._ray.put(performer)
        if first:
            for worker in self._workers:
                if worker.ready:
                    self._preload(worker)

    def release(self, video: int) -> None:
        """See `Executor`."""
        self._remote_performers.pop(video, None)

    def has_capacity(self, kind: str) -> bool:
        """See `Executor`."""
        if self._gpus and kind == ASSEMBLE:
            return True
        if self._gpus and kind == ANALYZE:
            analyses = [c for _, c in self._pending.values() if c is not None and c.kind == ANALYZE]
            return len(analyses) < self._max_analyses
        return choose_worker(self._workers, kind) is not None

    def submit(self, call: Call) -> None:
        """See `Executor`."""
        performer = self._remote_performers[call.video]
        if self._gpus and call.kind != RESTORE:
            self._pending[self._task.remote(performer, call)] = (None, call)
            return
        worker = choose_worker(self._workers, call.kind, avoid=call.avoid)
        assert isinstance(worker, _Worker)
        worker.add(call)
        self._pending[worker.actor.perform.remote(performer, call)] = (worker, call)

    @property
    def running(self) -> list[Call]:
        """See `Executor`."""
        return [call for _, call in self._pending.values() if call is not None]

    @property
    def ready_workers(self) -> int:
        """How many workers have started."""
        return sum(worker.ready for worker in self._workers)

    def wait(self, seconds: float) -> list[Outcome]:
        """See `Executor`."""
        refs = list(self._pending)
        if not refs:
            return []
        done, rest = self._ray.wait(refs, num_returns=1, timeout=seconds, fetch_local=False)
        if done and rest:
            # All others that have ended, with one request.
            more, _ = self._ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)
            done += more
        outcomes: list[Outcome] = []
        for ref in done:
            if ref in self._pending:
                outcomes += self._collect(ref)
        return outcomes

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        for ref, (owner, _) in self._pending.items():
            if owner is None:
                self._ray.cancel(ref, force=True)
        self._workers.clear()
        self._pending.clear()
        if self._started_here:
            self._ray.shutdown()

    def _start_worker(self) -> None:
        self._started += 1
        worker = _Worker(self._started, actor=self._runner.remote())
        self._workers.append(worker)
        self._pending[worker.actor.node_info.remote()] = (worker, None)

    def _preload(self, worker: _Worker) -> None:
        """Let a new worker load the models while other workers execute first passes."""
        for performer in list(self._remote_performers.values())[:1]:
            worker.actor.preload.remote(performer)

    def _collect(self, ref: Any) -> list[Outcome]:
        worker, call = self._pending.pop(ref)
        try:
            value = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            # `CallRunner` returns exceptions as data: this is a value that could not be sent, or the like.
            value = Failure(ERROR, f"{error.cause or error}")
        except self._ray.exceptions.RayError as error:
            return self._replace_worker(worker, call, error)
        if worker is not None and call is None:
            if isinstance(value, Failure):
                return self._replace_worker(worker, None, RuntimeError(value.reason))
            worker.ready, self._failed_starts = True, 0
            worker.node = value[0]
            self._preload(worker)
            return []
        assert call is not None
        if worker is not None:
            worker.remove(call, value)
        failure = value if isinstance(value, Failure) else None
        return [Outcome(call, None if failure else value, failure, worker.number if worker else None)]

    def _replace_worker(self, worker: _Worker | None, call: Call | None, error: Exception) -> list[Outcome]:
        """Replace a lost worker: its running call has failed, its queued call is returned to the driver."""
        failure = self._describe_loss(worker, error)
        if worker is None:
            assert call is not None
            return [Outcome(call, None, failure)]
        for other in [r for r, (owner, _) in self._pending.items() if owner is worker]:
            del self._pending[other]
        self._workers.remove(worker)
        self._ray.kill(worker.actor)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS * max(1, len(self._workers)):
                raise InputError(f"Ray cannot start a worker: {failure.reason}")
        self._start_worker()
        unharmed = Failure(NODE, "the worker it was assigned to was lost")
        lost = list(worker.calls)
        return [Outcome(c, None, failure if n == 0 else unharmed, worker.number) for n, c in enumerate(lost)]

    def _describe_loss(self, worker: _Worker | None, error: Exception) -> Failure:
        text = " ".join(str(error).split())
        if isinstance(error, self._ray.exceptions.OutOfMemoryError) or LOW_ON_MEMORY in text:
            return Failure(MEMORY, "its process was ended because the machine ran out of memory")
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if isinstance(error, self._ray.exceptions.NodeDiedError) or (worker is not None and worker.node not in alive):
            return Failure(NODE, "its machine was lost")
        return Failure(LOST, f"its process died ({text[:300]})")


def _perform_as_task(performer: Performer, call: Call) -> Any:
    return CallRunner().perform(performer, call)


def _connect(ray: Any, execution: ExecutionSettings) -> bool:
    """Join a cluster, or start Ray on this machine; returns whether to shut it down afterwards."""
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if execution.address is not None:
        try:
            ray.init(address=execution.address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"no Ray cluster at {execution.address!r} ({reason})") from error
        return True
    # Ray's processes read it as they begin.
    share_arenas()
    folder = _temporary_folder()
    if folder is not None:
        quiet["_temp_dir"] = str(folder)
    # Without "local", Ray would join the cluster of RAY_ADDRESS, and refuse a number of CPUs.
    ray.init(
        address="local", num_cpus=local_cpus(execution, local_workers(execution) or 1), include_dashboard=False, **quiet
    )
    return True


def _temporary_folder() -> Path | None:
    """A folder for Ray's sockets, if the path of the usual one is too long; None to use the usual one.

    Raises:
        InputError: No folder with a short path can be written to.
    """
    usual = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"
    if len(os.fsencode(usual)) <= MAX_FOLDER:
        return None
    for base in SHORT_FOLDERS:
        folder = base / f"ray-{getpass.getuser()}"
        if len(os.fsencode(folder)) <= MAX_FOLDER and os.access(base, os.W_OK):
            return folder
    raise InputError(
        f"the path {usual} is too long for Ray's sockets; set RAY_TMPDIR to a folder whose path has at most "
        f"{MAX_FOLDER - len('/ray')} bytes"
    )


def _on_gpus(execution: ExecutionSettings, resources: dict[str, float]) -> bool:
    # The cluster's resources count: the driver may run on a machine without a GPU.
    if execution.device == "auto":
        return resources.get("GPU", 0) > 0
    return execution.device.startswith("cuda")


def _worker_count(wanted: int, resources: dict[str, float], gpus: float) -> int:
    """How many workers to start; raises InputError if there is no room for one."""
    kind, each = ("GPU", gpus) if gpus else ("CPU", 1.0)
    room = int(resources.get(kind, 0) / each + 1e-6)
    if room < 1:
        raise InputError(f"Ray has no {kind} for a worker; use --workers 1 or --device cpu")
    if room < wanted:
        logger.warning("Ray has only enough %ss for %d workers instead of %d", kind, room, wanted)
    return min(room, wanted)
