"""One video, from its paths to its output; and what several of them share: one executor, one driver."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dynface_video
from dynface_video.config import ExecutionSettings, Settings
from dynface_video.device import resolve_device
from dynface_video.errors import InputError
from dynface_video.jobs.directory import completed
from dynface_video.jobs.driver import Driver
from dynface_video.jobs.executors.base import Call, Executor
from dynface_video.jobs.executors.local import LocalExecutor
from dynface_video.jobs.output import choose_output
from dynface_video.jobs.plan import Plan, folder_digest
from dynface_video.jobs.source import look_at, source_digest
from dynface_video.jobs.stopping import Stop, stopping
from dynface_video.jobs.task import Progress, RestoreTask, Totals
from dynface_video.media.output.write import EncodeSettings
from dynface_video.models.registry import model_folder
from dynface_video.passes.networks import Models, load_models

__all__ = ["Models", "Progress", "VideoJob", "check_paths", "describe_plan", "drive", "load_models"]

logger = logging.getLogger(__name__)


class VideoJob:
    """One video to be restored into one file."""

    def __init__(
        self,
        source: Path,
        target: Path,
        settings: Settings,
        *,
        overwrite: bool,
        resume: bool,
        report: Progress | None = None,
        logs: Sequence[Path] = (),
    ) -> None:
        """Check that the source, the target and the encoder can be used; raises InputError."""
        # Workers on other nodes do not share this process's folder.
        source, target = source.absolute(), target.absolute()
        published = completed(target.with_name(f"{target.name}.job")) is not None
        check_paths(source, target, overwrite=overwrite or published)
        if settings.execution.workers == 1:
            resolve_device(settings.execution.device)
        self.info = look_at(source, settings)
        self.output = choose_output(self.info, target, settings.output)
        self.task = RestoreTask(
            self.info,
            self.output,
            target,
            settings,
            lambda: make_plan(source, settings, self.output.encoding),
            resume=resume,
            report=report or (lambda stage, done, total: None),
            logs=logs,
        )

    def run(self) -> Totals:
        """Do what is left of the job; on success only the target remains.

        Raises JobError when the job's directory holds another job, or when something fails; what is finished is kept.
        """
        if not self.task.already_published():
            drive([self.task], self.task.settings.execution)
        if self.task.error is not None:
            raise self.task.error
        return self.task.totals


def drive(tasks: Sequence[RestoreTask], execution: ExecutionSettings) -> None:
    """Drive videos through an executor of their own. Raises Interrupted when stopped, see `Driver.run` for the rest."""
    with stopping() as stop:
        executor = _executor(tasks, execution, stop)
        try:
            # Ray takes SIGTERM for itself when it starts.
            stop.arm()
            Driver(tasks, executor, stop).run()
        finally:
            executor.close()


def _executor(tasks: Sequence[RestoreTask], execution: ExecutionSettings, stop: Stop) -> Executor:
    if execution.workers == 1 and execution.address is None:

        def on_frame(call: Call, done: int) -> None:
            tasks[call.video].on_frame(call.kind, done)
            tasks[call.video].tick()
            if call.kind == "analyze":
                stop.check()

        return LocalExecutor(on_frame)
    from dynface_video.jobs.executors.ray import RayExecutor

    calls = [max(1, (task.expected().frames or 10**9) // task.settings.output.segment_frames) for task in tasks]
    return RayExecutor(execution, most_calls=sum(calls))


def check_paths(source: Path, target: Path, *, overwrite: bool) -> None:
    """Raise InputError where the output could not be written or would destroy something."""
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target} is the input itself; choose another output")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(f"the folder {target} is not empty; choose another or allow overwriting (--overwrite)")
    if target.is_file() and not overwrite:
        raise InputError(f"{target} already exists; choose another name or allow overwriting (--overwrite)")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist; make it first")


def make_plan(source: Path, settings: Settings, encoding: EncodeSettings) -> Plan:
    """The plan of restoring a video with these settings."""
    output = dataclasses.asdict(encoding) | {
        "segment_frames": settings.output.segment_frames,
        "interlaced": settings.output.interlaced,
    }
    return describe_plan(source, source_digest(source), settings, output)


def describe_plan(source: Path, digest: str, settings: Settings, output: dict[str, Any]) -> Plan:
    """A plan: what the output depends on, and nothing else. digest: of the source; output: how it is encoded."""
    relevant = settings.model_dump(mode="json", exclude={"execution", "output"})
    return Plan(
        source=str(source),
        input_digest=digest,
        # The last bits of what the networks give depend on how many threads each has.
        settings=relevant | {"output": output, "threads": settings.execution.threads},
        model_digest=folder_digest(model_folder(settings.models)),
        version=dynface_video.__version__,
    )
