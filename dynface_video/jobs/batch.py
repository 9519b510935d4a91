"""Several videos, one pool: what can be done is done, what cannot is told, and the rest goes on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dynface_video.config import ExecutionSettings, Settings
from dynface_video.errors import DynfaceError, JobError
from dynface_video.jobs.driver import gigabytes
from dynface_video.jobs.estimate import work_done
from dynface_video.jobs.manifest import Entry
from dynface_video.jobs.record import DONE, FAILED, UNFINISHED, WAITING, PlannedVideo, kept_work, write_record
from dynface_video.jobs.remote import exists, fetch, is_remote, local_name, send, working_folder
from dynface_video.jobs.run import VideoJob, drive
from dynface_video.jobs.task import Progress, Totals

logger = logging.getLogger(__name__)

SKIPPED = "skipped"


@dataclass
class BatchRow:
    """What became of a video. status: done, skipped (the output was there), failed, or unfinished (stopped before)"""

    source: str
    output: str
    status: str = UNFINISHED
    totals: Totals = field(default_factory=Totals)
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON can hold it."""
        return {
            "source": self.source,
            "output": self.output,
            "status": self.status,
            "frames": self.totals.frames,
            "faces": self.totals.faces,
            "tracks": self.totals.tracks,
            "unet_evaluations": self.totals.unet_evaluations,
            "seconds": {name: round(spent, 3) for name, spent in self.totals.seconds.items()},
            "warnings": self.totals.warnings,
            "error": self.error,
        }


class BatchInterrupted(KeyboardInterrupt):
    """A batch was stopped by a signal; rows: what had become of the videos."""

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
    *,
    overwrite: bool,
    resume: bool,
    log: Path,
    report: Progress,
    on_plan: Callable[[str], None],
) -> list[BatchRow]:
    """Restore the videos with one pool of workers; a row for each, in the order of `entries`.

    settings_of: the settings of a video, may raise InputError; log: file to which every call that ends adds a line;
    on_plan: told in a line each which videos cannot be restored, then what is to be done and what it will take
    Raises BatchInterrupted when it was stopped, JobError when the disk is full or nothing succeeds any more.
    """
    rows = [BatchRow(entry.source, entry.output) for entry in entries]
    progress = _SharedProgress(report)
    prepared, planned = list[_Prepared](), list[PlannedVideo]()
    for entry, row in zip(entries, rows, strict=True):
        job = _prepare(entry, row, settings_of, overwrite, resume, log, progress)
        planned.append(_planned(row, job, resume))
        if job is not None:
            prepared.append(_Prepared(row, job))
            progress.add(row.output, planned[-1])
        elif row.status == FAILED:
            on_plan(f"left out: {row.source}: {row.error}")
    write_record(log, planned)
    if prepared:
        on_plan(_what_it_takes(prepared, execution))
        try:
            drive([one.job.task for one in prepared], execution)
        except KeyboardInterrupt as error:
            _close(prepared)
            raise BatchInterrupted(getattr(error, "signal", 2), rows) from None
        except JobError as error:
            _close(prepared, error)
    _close(prepared)
    return rows


def _prepare(
    entry: Entry,
    row: BatchRow,
    settings_of: Callable[[Entry], Settings],
    overwrite: bool,
    resume: bool,
    log: Path,
    progress: _SharedProgress,
) -> VideoJob | None:
    target, elsewhere = Path(entry.output), is_remote(entry.output)
    try:
        settings = settings_of(entry)
        work = working_folder(settings.execution.work)
        if elsewhere:
            target = local_name(entry.output, work)
        if not overwrite and (exists(entry.output) if elsewhere else _is_finished(target)):
            row.status = SKIPPED
            return None
        source = fetch(entry.source, work) if is_remote(entry.source) else Path(entry.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        job = VideoJob(
            source,
            target,
            settings,
            overwrite=overwrite or elsewhere,
            resume=resume,
            report=progress.of(entry.output),
            logs=(log,),
        )
        if elsewhere:
            job.task.publish = partial(send, target, entry.output)
        elif job.task.already_published():
            row.status, row.totals = DONE, job.task.totals
            return None
    except DynfaceError as error:
        row.status, row.error = FAILED, str(error)
        return None
    except OSError as error:
        row.status, row.error = FAILED, f"{target.parent} cannot be made ({error.strerror})"
        return None
    return job


def _planned(row: BatchRow, job: VideoJob | None, resume: bool) -> PlannedVideo:
    if job is None:
        return PlannedVideo(row.source, row.output, FAILED if row.status == FAILED else DONE, error=row.error)
    path, frames = job.task.path, job.task.expected().frames
    kept = kept_work(path, frames) if resume else 0.0
    return PlannedVideo(row.source, row.output, WAITING, str(path), frames, kept)


def _is_finished(target: Path) -> bool:
    return target.exists() and not target.with_name(f"{target.name}.job").exists()


def _close(prepared: Sequence[_Prepared], error: DynfaceError | None = None) -> None:
    for one in prepared:
        task, row = one.job.task, one.row
        row.totals = task.totals
        if task.done:
            row.status = DONE
        elif task.error is not None:
            row.status, row.error = FAILED, str(task.error)
        elif error is not None:
            row.status, row.error = UNFINISHED, str(error)


def _what_it_takes(prepared: Sequence[_Prepared], execution: ExecutionSettings) -> str:
    estimates = [one.job.task.expected() for one in prepared]
    frames = sum(one.frames or 0 for one in estimates)
    unknown = sum(one.frames is None for one in estimates)
    disk = sum(one.disk or 0 for one in estimates)
    free = shutil.disk_usage(prepared[0].job.task.target.parent).free
    line = f"{len(prepared)} videos, about {frames} frames; up to {gigabytes(disk)} of disk while they are worked on"
    if disk > free:
        logger.warning("the disk has %s free, the work may need %s", gigabytes(free), gigabytes(disk))
    if all(one.seconds for one in estimates):
        least = sum(one.seconds[0] for one in estimates if one.seconds) / execution.workers
        most = least + sum(one.seconds[1] - one.seconds[0] for one in estimates if one.seconds)
        line += f", {gigabytes(free)} free; {_hours(least)} to {_hours(most)} by rule of thumb, as there are faces"
    return line + (f"; {unknown} do not say how long they are" if unknown else "")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(1, round(seconds / 60))} min"


@dataclass
class _SharedProgress:
    """One bar for all videos, in frames with which everything is done; one that was only analysed counts in part."""

    report: Progress
    _total: int = 0
    _done: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, video: PlannedVideo) -> None:
        """Take a video in, with what earlier runs did of it."""
        self._total += video.frames or 0
        self._done[name] = video.kept

    def of(self, name: str) -> Progress:
        def told(stage: str, done: int, total: int | None) -> None:
            self._done[name] = max(self._done[name], work_done(stage, done, total or 0))
            self.report("restore", round(sum(self._done.values())), self._total or None)

        return told
