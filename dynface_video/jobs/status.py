"""How far a job, or a batch and all jobs of a folder, are: read from outside, without disturbing a running process.

This module imports no networks: `dynface-video status` must answer at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError
from dynface_video.jobs.directory import ANALYSIS, PLAN, STATE, SUFFIX, job_path
from dynface_video.jobs.estimate import work_done
from dynface_video.jobs.executors.base import ANALYZE, RESTORE
from dynface_video.jobs.journal import DONE, END, FAILED, LOG, RECORD, RUNNING, UNFINISHED, WAITING, PlannedVideo
from dynface_video.jobs.lock import is_locked
from dynface_video.jobs.manifest import VIDEOS

RATE_WINDOW, RATE_MINIMUM = 600.0, 30.0
"""Seconds over which the speed of a job is measured, at most and at least."""
OUTPUTS = (*VIDEOS, ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".dpx", ".exr")
"""Endings of outputs; those of images are also in `media.io.image_file`, which needs NumPy."""
BATCH_MINIMUM = 60.0
"""Seconds of work before the time left of a batch is estimated."""


@dataclass(frozen=True)
class JobState:
    """Where a job stands, as its driver last wrote it.

    Args:
        running: Whether a process is working on it.
        stage: "analyze", "restore" or "assemble".
        finished: Frames of the stage that are kept whatever happens.
        under_way: Frames done of unfinished segments; 0 if no process is working on them.
        frames: Frames of the video; None if unknown.
        output: The output as the job names it.
        error: Why the job failed.
    """

    running: bool
    stage: str
    finished: int = 0
    under_way: int = 0
    frames: int | None = None
    output: str | None = None
    error: str | None = None

    @property
    def frames_done(self) -> int:
        """Frames done in the stage."""
        return self.finished + self.under_way


def read_state(job: Path) -> JobState:
    """Read the state of a job.

    Args:
        job: The job's directory; may be missing or empty.

    Returns:
        The content of `state.json`; for a job that has not written one, the stage that its files imply.
    """
    state, running = _read_object(job / STATE), is_locked(job)
    return JobState(
        running,
        state.get("stage", RESTORE if (job / ANALYSIS).exists() else ANALYZE),
        state.get("frames_done", 0),
        # Frames of an unfinished segment are lost with the process that restored them.
        state.get("frames_under_way", 0) if running else 0,
        state.get("frames"),
        state.get("output"),
        state.get("error"),
    )


def kept_work(job: Path, frames: int | None) -> float:
    """Work on a video that earlier runs did and the next run need not repeat.

    Args:
        job: The job's directory.
        frames: Length of the video, if known.

    Returns:
        Work in frames, see `estimate.work_done`.
    """
    if not (job / ANALYSIS).exists():
        return 0.0
    state = read_state(job)
    total = state.frames or frames or 0
    # The analysis exists, so the first pass is done even if the last state written is older.
    return work_done(RESTORE, 0, total) if state.stage == ANALYZE else work_done(state.stage, state.finished, total)


def read_status(path: Path) -> dict[str, Any]:
    """Read the status of the jobs at a path.

    Args:
        path: A job's directory, the output of a job, or a folder with jobs or a batch in it.

    Returns:
        `jobs`, a list of dicts with job, source, output, running, stage, frames_done, frames, frames_per_second (over
        the last ten minutes, None if unknown), seconds_left, segments_done, failures (the latest of each unfinished
        segment) and error; `batch`, see `read_batch`; and `finished`, where no job is unfinished and there is no batch:
        a list of dicts with output, bytes and time (when it was written, seconds since 1970).

    Raises:
        InputError: There is neither a job, nor a batch, nor an output at the path.
    """
    jobs, batch = [_read_job(job) for job in _find_jobs(path)], read_batch(path)
    finished = [] if jobs or batch else list(_finished_outputs(path))
    if not jobs and batch is None and not finished:
        where = "in this folder" if path == Path() else f"at {path}"
        raise InputError(f"no unfinished job {where}, and no output; name an output or the folder of a batch")
    return {"batch": batch, "jobs": jobs, "finished": finished}


def _finished_outputs(path: Path) -> Iterator[dict[str, Any]]:
    """Outputs at a path without a job: they have their final names, which they get only when they are complete."""
    if path.name.endswith(SUFFIX) and not path.exists():
        path = path.with_name(path.name.removesuffix(SUFFIX))
    if path.is_file():
        found = [path]
    else:
        found = sorted(path.iterdir()) if path.is_dir() else []
    for output in found:
        if output.suffix.lower() in OUTPUTS and output.is_file():
            state = output.stat()
            yield {"output": str(output), "bytes": state.st_size, "time": round(state.st_mtime, 1)}


def read_batch(folder: Path) -> dict[str, Any] | None:
    """Read how the latest batch into a folder is doing.

    Args:
        folder: The batch's output folder.

    Returns:
        `videos` (their number); `done`, `running`, `failed`, `unfinished` and `waiting` (numbers of videos);
        `seconds_left`, from the work done since the batch began, with the average length for videos of unknown length:
        None while no frames have been restored for a while, and if the batch is not running; `failures`, a list of
        dicts with source, output and error. None if there is no batch.
    """
    try:
        record = _read_object(folder / RECORD)
        videos = [PlannedVideo(**video) for video in record["videos"]]
        began, log_begins = float(record["began"]), int(record["log_begins"])
    except (ValueError, KeyError, TypeError):
        return None
    ends = dict(_read_ends(folder / LOG, log_begins))
    current = [_BatchVideo.read(video, ends) for video in videos]
    counts = {name: sum(one.status == name for one in current) for name in (DONE, RUNNING, FAILED, UNFINISHED, WAITING)}
    return {
        "videos": len(videos),
        **counts,
        "seconds_left": _seconds_left(current, time.time() - began) if counts[RUNNING] else None,
        "failures": [
            {"source": one.planned.source, "output": one.planned.output, "error": one.error}
            for one in current
            if one.status == FAILED
        ],
    }


@dataclass(frozen=True)
class _BatchVideo:
    """Current state of a video of a batch.

    Args:
        planned: The video when the batch began.
        status: DONE, RUNNING, FAILED, UNFINISHED or WAITING.
        error: Why it failed.
        state: Of its job; None if it has not begun, and if it is running without a directory (its output is being
            uploaded).
    """

    planned: PlannedVideo
    status: str
    error: str | None = None
    state: JobState | None = None

    @classmethod
    def read(cls, planned: PlannedVideo, ends: dict[str, str | None]) -> _BatchVideo:
        job = Path(planned.job)
        if planned.status != WAITING:
            return cls(planned, planned.status, planned.error)
        error, state = ends.get(planned.job), read_state(job)
        if state.running:
            return cls(planned, RUNNING, None, state if job.exists() else None)
        if error is not None:
            return cls(planned, FAILED, error, state)
        if job.exists():
            return cls(planned, UNFINISHED, None, state)
        # The line is written before the output is published, or after its upload; the directory is deleted last.
        return cls(planned, DONE if planned.job in ends else WAITING)

    def work(self, usual: float) -> tuple[float, float]:
        """Work done in this batch and work left, in frames. usual: length to assume for a video of unknown length."""
        if self.planned.status != WAITING:
            return 0.0, 0.0
        frames = (self.state and self.state.frames) or self.planned.frames or usual
        if self.status == DONE or (self.status == RUNNING and self.state is None):
            return frames - self.planned.kept, 0.0
        now = self.planned.kept
        # An unfinished video is not counted: this batch may be going to restart it.
        if self.state is not None and self.status != UNFINISHED:
            now = max(now, work_done(self.state.stage, self.state.frames_done, frames))
        return now - self.planned.kept, 0.0 if self.status == FAILED else max(0.0, frames - now)

    def has_restored(self) -> bool:
        """Whether frames were restored in this batch, on which an estimate can be based."""
        if self.planned.status != WAITING:
            return False
        state = self.state
        return self.status == DONE or (state is not None and state.stage != ANALYZE and state.frames_done > 0)


def _seconds_left(videos: Sequence[_BatchVideo], spent: float) -> int | None:
    known = [one.planned.frames for one in videos if one.planned.frames]
    if not known or spent < BATCH_MINIMUM:
        return None
    works = [one.work(sum(known) / len(known)) for one in videos]
    done, left = sum(done for done, _ in works), sum(left for _, left in works)
    restored = any(one.has_restored() for one in videos)
    return round(spent * left / done) if restored and done > 0 else None


def _read_ends(log: Path, begins: int) -> Iterator[tuple[str, str | None]]:
    """The jobs that are over, with the error of those that failed. begins: offset of this batch's first line, bytes."""
    with suppress(OSError), open(log, "rb") as handle:
        handle.seek(begins)
        for line in handle:
            # Only a few of many thousand lines are of interest, and the last one may be half written.
            if f'"stage": "{END}"'.encode() in line:
                with suppress(ValueError):
                    end = json.loads(line)
                    yield end["job"], end["error"]


def _find_jobs(path: Path) -> Iterator[Path]:
    # The name of `.` is empty.
    beside = job_path(path.absolute())
    if (path / PLAN).exists():
        yield path
    elif (beside / PLAN).exists():
        yield beside
    elif path.is_dir():
        yield from sorted(plan.parent for plan in path.rglob(f"*.job/{PLAN}"))


def _read_job(job: Path) -> dict[str, Any]:
    plan, state, log = _read_object(job / PLAN), read_state(job), list(_read_lines(job / "log.jsonl"))
    output = state.output or str(job.with_name(job.name.removesuffix(".job")))
    segments = {line["segment"]: line for line in log if "segment" in line}
    failed = [line for line in segments.values() if "failure" in line]
    rate = _frame_rate(log) if state.running and state.stage == RESTORE else None
    left = (state.frames - state.frames_done) / rate if rate and state.frames else None
    return {
        "job": str(job),
        "source": plan.get("source"),
        "output": output,
        "running": state.running,
        "stage": state.stage,
        "frames_done": state.frames_done,
        "frames": state.frames,
        "frames_per_second": round(rate, 4) if rate else None,
        "seconds_left": round(left) if left is not None else None,
        "segments_done": len(list((job / "segments").glob("[0-9]*.json"))),
        "failures": [
            {name: line.get(name) for name in ("segment", "start", "stop", "attempt", "failure", "reason")}
            for line in failed
        ],
        "error": state.error,
    }


def _frame_rate(log: list[dict[str, Any]]) -> float | None:
    """Frames per second over the segments that ended recently; None if they are too few."""
    since = time.time() - RATE_WINDOW
    recent = [line for line in log if line.get("computed") and line.get("frames") and line["time"] >= since]
    if len(recent) < 2:
        return None
    spent = recent[-1]["time"] - recent[0]["time"]
    return float(sum(line["frames"] for line in recent[1:])) / spent if spent >= RATE_MINIMUM else None


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError:
        return
    for line in text.splitlines():
        # The last line may be half written.
        with suppress(ValueError):
            yield json.loads(line)


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if it is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
