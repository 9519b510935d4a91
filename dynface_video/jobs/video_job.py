"""One video, from its paths to its output, and the executor and driver that several of them share."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dynface_video
from dynface_video.config import ExecutionSettings, Settings
from dynface_video.device import resolve_device
from dynface_video.errors import OVERWRITE, InputError, JobError
from dynface_video.jobs.directory import completed, job_path
from dynface_video.jobs.driver import Driver
from dynface_video.jobs.executors.base import Call, Executor
from dynface_video.jobs.executors.local import LocalExecutor
from dynface_video.jobs.output import choose_output
from dynface_video.jobs.plan import Plan, file_digest
from dynface_video.jobs.signals import StopRequest, handled_signals
from dynface_video.jobs.source import probe_source, source_digest
from dynface_video.jobs.task import RestoreTask, RunOptions, Totals
from dynface_video.jobs.workers import local_workers
from dynface_video.media.io.files import MAX_NAME
from dynface_video.media.output.write import EncodeSettings
from dynface_video.models.registry import used_models
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import check_declared_times, check_times, choose
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import choose_with, load_models, reference_vector
from dynface_video.precision import resolve_precision
from dynface_video.stage_loading import find_models


class VideoJob:
    """One video to be restored into one file."""

    def __init__(
        self, source: Path, target: Path, settings: Settings, options: RunOptions, analysis: Path | None = None
    ) -> None:
        """Check that source, target and encoder can be used.

        Args:
            source: A video, a single image, or a folder of frames.
            target: A video file, or a folder for images.
            settings: All of them.
            options: Of this run.
            analysis: File with an analysis of the source, perhaps edited, instead of the first pass.

        Raises:
            InputError: One of them cannot be used.
            ModelError: A public network that the settings name is not on this machine.
        """
        used = used_models(settings, find_models(settings).names)
        # Workers may run in another working directory, or on another node.
        source, target = source.absolute(), target.absolute()
        published = completed(job_path(target)) is not None
        check_paths(source, target, overwrite=options.overwrite or published)
        if local_workers(settings.execution) == 1:
            resolve_device(settings.execution.device)
        info = probe_source(source, settings)
        check_declared_times(info, settings.selection)
        output = choose_output(info, target, settings.output)
        given = chosen_analysis(analysis, settings) if analysis is not None else None
        self.task = RestoreTask(
            output, settings, lambda: make_plan(source, settings, output.encoding, analysis), options, given
        )
        self._networks = options.networks
        self.task.totals.models = [dataclasses.asdict(model) for model in used]

    def run(self) -> Totals:
        """Do the rest of the job; on success only the target remains.

        Returns:
            What was done, in this run and those before it.

        Raises:
            JobError: The job's directory holds another job, or something failed; finished segments are kept.
        """
        if not self.task.already_published():
            drive([self.task], self.task.settings.execution, self._networks)
        if self.task.error is not None:
            raise self.task.error
        return self.task.totals


def drive(tasks: Sequence[RestoreTask], execution: ExecutionSettings, networks: ModelCache | None = None) -> None:
    """Drive videos through an executor of their own.

    Args:
        tasks: The videos.
        execution: Where to run them.
        networks: As of `RunOptions`; without effect where other processes restore.

    Raises:
        Interrupted: A stop was requested; for other errors see `Driver.run`.
    """
    with handled_signals() as stop:
        executor = _executor(tasks, execution, stop, networks)
        try:
            # Ray installs a handler for SIGTERM when it starts.
            stop.install()
            Driver(tasks, executor, stop).run()
        finally:
            executor.close()


def _executor(
    tasks: Sequence[RestoreTask], execution: ExecutionSettings, stop: StopRequest, networks: ModelCache | None
) -> Executor:
    if local_workers(execution) == 1 and execution.address is None:

        def on_frame(call: Call, done: int) -> None:
            tasks[call.video].on_frame(call.kind, done)
            tasks[call.video].update_progress()
            if call.kind == "analyze":
                stop.check()

        return LocalExecutor(on_frame, networks)
    from dynface_video.jobs.executors.ray import RayExecutor

    calls = [max(1, (task.expected().frames or 10**9) // task.settings.output.segment_frames) for task in tasks]
    return RayExecutor(execution, max_calls=sum(calls))


def check_paths(source: Path, target: Path, *, overwrite: bool) -> None:
    """Check that the output can be written and overwrites nothing by mistake.

    Args:
        source: The input.
        target: The output.
        overwrite: Whether an existing target may be replaced.

    Raises:
        InputError: It cannot, or it would.
    """
    size = len(os.fsencode(target.name))
    if size > MAX_NAME:
        raise InputError(f"{target}: the name has {size} bytes, more than the {MAX_NAME} of a file name; shorten it")
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise InputError(f"{target} is a device or a pipe; the output must be a file or a folder")
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target} is the input itself; choose another output")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(f"the folder {target} is not empty; choose another or {OVERWRITE}")
    if target.is_file() and not overwrite:
        raise InputError(f"{target} already exists; choose another name or {OVERWRITE}")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist; make it first")


def read_analysis(path: Path) -> Analysis:
    """Read an analysis that the user gives.

    Args:
        path: What `analyze -o` wrote, perhaps edited.

    Raises:
        InputError: It does not exist, or is not an analysis.
    """
    if not path.is_file():
        raise InputError(f"the analysis {path} does not exist; write it with dynface-video analyze -o")
    try:
        return Analysis.load(path)
    except JobError as error:
        raise InputError(str(error)) from error


def chosen_analysis(path: Path, settings: Settings) -> Analysis:
    """Read an analysis that the user gives, and write the settings' choice of faces into it.

    Args:
        path: As of `read_analysis`.
        settings: All of them.

    Raises:
        InputError: It is not an analysis, or a chosen person or time is not in it.
        ModelError: A reference picture is given, and weights are missing.
    """
    analysis = read_analysis(path)
    check_times(analysis, settings.selection)
    if settings.selection.reference is None:
        return choose(analysis, settings.selection)
    models = load_models(settings)
    return choose_with(models, analysis, settings, reference_vector(models, settings))


def make_plan(source: Path, settings: Settings, encoding: EncodeSettings, analysis: Path | None = None) -> Plan:
    """Make the plan of restoring a video.

    Args:
        source: The video, image, or folder of frames.
        settings: All of them.
        encoding: Of the segments.
        analysis: The user's analysis; None if the first pass makes it.
    """
    output = dataclasses.asdict(encoding) | {
        "segment_frames": settings.output.segment_frames,
        "interlaced": settings.output.interlaced,
    }
    plan = describe_plan(source, source_digest(source), settings, output)
    if settings.selection.reference is not None:
        digest = file_digest(settings.selection.reference)
        plan = dataclasses.replace(plan, settings=plan.settings | {"reference": digest})
    if analysis is None:
        return plan
    return dataclasses.replace(plan, settings=plan.settings | {"analysis": file_digest(analysis)})


def describe_plan(source: Path, digest: str, settings: Settings, output: dict[str, Any]) -> Plan:
    """Make a plan: everything that the output depends on, and nothing else.

    Args:
        source: Path of the input.
        digest: Of its content.
        settings: All of them.
        output: How the output is encoded, as JSON data.
    """
    relevant = settings.model_dump(mode="json", exclude={"execution", "output"})
    digests = {model.name: model.sha256 for model in used_models(settings, find_models(settings).names)}
    if digests:
        relevant["public_models"] = digests
    return Plan(
        source=str(source),
        input_digest=digest,
        # The networks' results depend on their precision, and the last bits on the number of threads.
        settings=relevant
        | {
            "output": output,
            "threads": settings.execution.threads,
            "precision": resolve_precision(settings.execution),
        },
        model_digest=find_models(settings).digest(),
        version=dynface_video.__version__,
    )
