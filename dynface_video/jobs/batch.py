"""Many videos with one pool of workers: a failed video is reported and does not stop the others."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dynface_video.config import ExecutionSettings, Settings
from dynface_video.errors import DynfaceError, InputError, JobError
from dynface_video.jobs.directory import job_path
from dynface_video.jobs.estimate import format_bytes, format_time_range, work_done
from dynface_video.jobs.journal import DONE, FAILED, UNFINISHED, WAITING, PlannedVideo, write_batch_record
from dynface_video.jobs.manifest import Entry
from dynface_video.jobs.record import upload_output
from dynface_video.jobs.remote import check_uploadable, download, exists, is_remote, local_name, working_folder
from dynface_video.jobs.status import kept_work
from dynface_video.jobs.task import Progress, RunOptions, Totals
from dynface_video.jobs.video_job import VideoJob, drive
from dynface_video.jobs.workers import local_workers
from dynface_video.record.archive import read_result, record_path

logger = logging.getLogger(__name__)

SKIPPED = "skipped"


@dataclass
class BatchRow:
    """The outcome for one video of a batch.

    Args:
        source: Path or URL of the input.
        output: Path or URL of the output.
        status: done, skipped (the output existed), failed, unfinished (begun, then stopped) or waiting (not begun).
        totals: What was done.
        error: Why it failed, or is unfinished.
    """

    source: str
    output: str
    status: str = WAITING
    totals: Totals = field(default_factory=Totals)
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {
            "source": self.source,
            "output": self.output,
            "status": self.status,
            "frames": self.totals.frames,
            "faces": self.totals.faces,
            "tracks": self.totals.tracks,
            "drawn_faces": self.totals.drawn_faces,
            "unet_evaluations": self.totals.unet_evaluations,
            "seconds": {name: round(spent, 3) for name, spent in self.totals.seconds.items()},
            "warnings": self.totals.warnings,
            "missing": self.totals.missing,
            "models": self.totals.models,
            "error": self.error,
        }


class BatchInterrupted(KeyboardInterrupt):
    """A batch was stopped by a signal.

    Attributes:
        signal: Number of the signal.
        rows: What had become of the videos.
    """

    def __init__(self, signal: int, rows: Sequence[BatchRow]) -> None:
        super().__init__(f"stopped by signal {signal}")
        self.signal, self.rows = signal, rows


@dataclass(frozen=True)
class _Prepared:
    row: BatchRow
    job: VideoJob


def run_batch(
    entries: Sequence[Entry],
    settings_of: Callable[[Entry], Settings],
    execution: ExecutionSettings,
    options: RunOptions,
    on_plan: Callable[[str], None],
) -> list[BatchRow]:
    """Restore videos with one pool of workers.

    Args:
        entries: The videos; no two share an output.
        settings_of: Returns the settings of a video; may raise InputError.
        execution: Where to run them.
        options: Of this run: existing outputs are skipped unless `overwrite`; `logs` are the batch's.
        on_plan: Called with a line for each video that cannot be restored, then with one on what the batch will take.

    Returns:
        A row for each video, in the order of `entries`.

    Raises:
        BatchInterrupted: A stop was requested.
    """
    rows = [BatchRow(entry.source, entry.output) for entry in entries]
    progress = _SharedProgress(options.report)
    prepared, planned = list[_Prepared](), list[PlannedVideo]()
    for entry, row in zip(entries, rows, strict=True):
        job = _prepare(entry, row, settings_of, options, progress)
        planned.append(_planned(row, job, options.resume))
        if job is not None:
            prepared.append(_Prepared(row, job))
            progress.add(row.output, planned[-1])
        elif row.status == FAILED:
            on_plan(f"not restored: {row.source}: {row.error}")
    for log in options.logs:
        write_batch_record(log, planned)
    if prepared:
        on_plan(_expected(prepared, execution))
        _restore(prepared, rows, execution)
    return rows


def _restore(prepared: Sequence[_Prepared], rows: Sequence[BatchRow], execution: ExecutionSettings) -> None:
    failure: JobError | None = None
    try:
        drive([one.job.task for one in prepared], execution)
    except KeyboardInterrupt as error:
        _record_results(prepared)
        raise BatchInterrupted(getattr(error, "signal", signal.SIGINT), rows) from None
    except JobError as error:
        failure = error
    _record_results(prepared, failure)


def make_output_folder(folder: Path) -> Path:
    """Create the folder of a batch's outputs.

    Args:
        folder: May exist.

    Raises:
        InputError: It cannot be created, or is something else than a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{folder} is not a folder; name one for the outputs of the batch") from error
    except OSError as error:
        raise InputError(f"cannot create the folder {folder} ({error.strerror})") from error
    return folder


def _prepare(
    entry: Entry,
    row: BatchRow,
    settings_of: Callable[[Entry], Settings],
    options: RunOptions,
    progress: _SharedProgress,
) -> VideoJob | None:
    target, elsewhere = Path(entry.output), is_remote(entry.output)
    try:
        settings = settings_of(entry)
        work = working_folder(settings.execution.work)
        if elsewhere:
            check_uploadable(entry.output)
            target = local_name(entry.output, work)
        if not options.overwrite and (exists(entry.output) if elsewhere else _is_finished(target)):
            row.status = SKIPPED
            # So that the batch ends with the same exit code each time it is run.
            row.totals.missing = str(read_result(record_path(target)).get("missing", ""))
            return None
        source = download(entry.source, work) if is_remote(entry.source) else Path(entry.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        own = replace(options, overwrite=options.overwrite or elsewhere, report=progress.of(entry.output))
        job = VideoJob(source, target, settings, own)
        if elsewhere:
            job.task.publish = partial(upload_output, target, entry.output)
        elif job.task.already_published():
            row.status, row.totals = DONE, job.task.totals
            return None
    except DynfaceError as error:
        row.status, row.error = FAILED, str(error)
        return None
    except OSError as error:
        row.status, row.error = FAILED, f"cannot create {target.parent} ({error.strerror})"
        return None
    return job


def _planned(row: BatchRow, job: VideoJob | None, resume: bool) -> PlannedVideo:
    if job is None:
        return PlannedVideo(row.source, row.output, FAILED if row.status == FAILED else DONE, error=row.error)
    path, frames = job.task.path, job.task.expected().frames
    kept = kept_work(path, frames) if resume else 0.0
    return PlannedVideo(row.source, row.output, WAITING, str(path), frames, kept)


def _is_finished(target: Path) -> bool:
    return target.exists() and not job_path(target).exists()


def _record_results(prepared: Sequence[_Prepared], error: DynfaceError | None = None) -> None:
    for one in prepared:
        task, row = one.job.task, one.row
        row.totals = task.totals
        if task.done:
            row.status = DONE
        elif task.error is not None:
            row.status, row.error = FAILED, str(task.error)
        else:
            # As `status` counts it: a job that has begun has a directory.
            row.status = UNFINISHED if task.path.exists() else WAITING
            row.error = str(error) if error is not None else None


def _expected(prepared: Sequence[_Prepared], execution: ExecutionSettings) -> str:
    estimates = [one.job.task.expected() for one in prepared]
    frames = sum(one.frames or 0 for one in estimates)
    unknown = sum(one.frames is None for one in estimates)
    disk = sum(one.disk or 0 for one in estimates)
    free = shutil.disk_usage(prepared[0].job.task.target.parent).free
    line = f"{len(prepared)} videos, about {frames} frames; up to {format_bytes(disk)} of disk space in the meantime"
    if disk > free:
        logger.warning("the disk has %s free, the work may need %s", format_bytes(free), format_bytes(disk))
    if all(one.seconds for one in estimates):
        least = sum(one.seconds[0] for one in estimates if one.seconds) / (local_workers(execution) or 1)
        most = least + sum(one.seconds[1] - one.seconds[0] for one in estimates if one.seconds)
        line += f", {format_bytes(free)} free; {format_time_range(least, most)}, depending on the faces"
    return line + (f"; {unknown} of unknown length" if unknown else "")


@dataclass
class _SharedProgress:
    """One progress bar for all videos, in frames that have passed all stages; an analysed frame counts in part."""

    report: Progress
    _total: int = 0
    _done: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, video: PlannedVideo) -> None:
        """Add a video, with the work that earlier runs did."""
        self._total += video.frames or 0
        self._done[name] = video.kept

    def of(self, name: str) -> Progress:
        def report(stage: str, done: int, total: int | None) -> None:
            self._done[name] = max(self._done[name], work_done(stage, done, total or 0))
            self.report("restore", round(sum(self._done.values())), self._total or None)

        return report
