"""What a batch set out to do and what became of it, for `dynface-video status`; nothing else depends on it.

    batch.json     the videos of the batch that began last: written once, complete or not at all, before work begins
    batch.jsonl    besides the calls (`jobs.log`) a line when a video is over

What is neither here nor there is seen from the jobs' directories, so that a batch may be killed at any moment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dynface_video.jobs.directory import ANALYSIS
from dynface_video.jobs.estimate import work_done
from dynface_video.jobs.executors.base import ANALYZE, RESTORE
from dynface_video.jobs.job_state import JobState, read_object, read_state
from dynface_video.jobs.log import END
from dynface_video.media.io.files import write_atomically

RECORD, LOG = "batch.json", "batch.jsonl"
DONE, RUNNING, FAILED, UNFINISHED, WAITING = "done", "running", "failed", "unfinished", "waiting"
SETTLED = 60.0
"""Seconds of work before a word is said about the time that is left."""


@dataclass(frozen=True)
class PlannedVideo:
    """A video of a batch as it was when the batch began.

    status: DONE (the output was there), FAILED (it cannot be restored) or WAITING; job: its directory; frames: None
    where it is not known; kept: work that earlier runs did, see `work_done`
    """

    source: str
    output: str
    status: str
    job: str = ""
    frames: int | None = None
    kept: float = 0.0
    error: str | None = None


def write_record(log: Path, videos: Sequence[PlannedVideo]) -> None:
    """Note what a batch is about to do. log: its `batch.jsonl`; what cannot be noted must not end the batch."""
    with suppress(OSError):
        # Lines of earlier batches stand before it.
        begins = log.stat().st_size if log.exists() else 0
        record = {"began": round(time.time(), 1), "log_begins": begins, "videos": [asdict(video) for video in videos]}
        write_atomically(log.with_name(RECORD), json.dumps(record))


def kept_work(job: Path, frames: int | None) -> float:
    """Work on a video that earlier runs did and the next need not do again."""
    if not (job / ANALYSIS).exists():
        return 0.0
    state = read_state(job)
    total = state.frames or frames or 0
    # The first pass is done, whatever was said of it last.
    return work_done(RESTORE, 0, total) if state.stage == ANALYZE else work_done(state.stage, state.finished, total)


def read_batch(folder: Path) -> dict[str, Any] | None:
    """How the batch into a folder that began last is doing; None where there was none.

    Gives videos (how many); done, running, failed, unfinished (begun, but nobody is at it now) and waiting (not begun);
    seconds_left, by the work done since it began, a video without a known length being as long as the others on
    average: None before frames were restored for a while, and where it is not running; failures, a list of dicts:
    source, output, error.
    """
    try:
        record = read_object(folder / RECORD)
        videos = [PlannedVideo(**video) for video in record["videos"]]
        began, log_begins = float(record["began"]), int(record["log_begins"])
    except (ValueError, KeyError, TypeError):
        return None
    ends = dict(_ends(folder / LOG, log_begins))
    seen = [_Seen.of(video, ends) for video in videos]
    counts = {name: sum(one.status == name for one in seen) for name in (DONE, RUNNING, FAILED, UNFINISHED, WAITING)}
    return {
        "videos": len(videos),
        **counts,
        "seconds_left": _seconds_left(seen, time.time() - began) if counts[RUNNING] else None,
        "failures": [
            {"source": one.video.source, "output": one.video.output, "error": one.error}
            for one in seen
            if one.status == FAILED
        ],
    }


@dataclass(frozen=True)
class _Seen:
    """A video as it is now.

    error: why it failed; state: of its job, None where nobody has begun, and where
    none is left: what runs then is being sent to where it belongs
    """

    video: PlannedVideo
    status: str
    error: str | None = None
    state: JobState | None = None

    @classmethod
    def of(cls, video: PlannedVideo, ends: dict[str, str | None]) -> _Seen:
        job = Path(video.job)
        if video.status != WAITING:
            return cls(video, video.status, video.error)
        error, state = ends.get(video.job), read_state(job)
        if state.running:
            return cls(video, RUNNING, None, state if job.exists() else None)
        if error is not None:
            return cls(video, FAILED, error, state)
        if job.exists():
            return cls(video, UNFINISHED, None, state)
        # The line is written before the output is put in place, or when it was sent; the job's directory goes after it.
        return cls(video, DONE if video.job in ends else WAITING)

    def work(self, usual: float) -> tuple[float, float]:
        """Work done in this batch, and work left. usual: frames of a video whose length is not known"""
        if self.video.status != WAITING:
            return 0.0, 0.0
        frames = (self.state and self.state.frames) or self.video.frames or usual
        if self.status == DONE or (self.status == RUNNING and self.state is None):
            return frames - self.video.kept, 0.0
        now = self.video.kept
        # One that waits to go on may be going to start over.
        if self.state is not None and self.status != UNFINISHED:
            now = max(now, work_done(self.state.stage, self.state.frames_done, frames))
        return now - self.video.kept, 0.0 if self.status == FAILED else max(0.0, frames - now)


def _seconds_left(seen: Sequence[_Seen], spent: float) -> int | None:
    known = [one.video.frames for one in seen if one.video.frames]
    if not known or spent < SETTLED:
        return None
    works = [one.work(sum(known) / len(known)) for one in seen]
    done, left = sum(done for done, _ in works), sum(left for _, left in works)
    restored = any(one.video.status == WAITING and (one.status == DONE or _has_restored(one.state)) for one in seen)
    return round(spent * left / done) if restored and done > 0 else None


def _has_restored(state: JobState | None) -> bool:
    return state is not None and state.stage != ANALYZE and state.frames_done > 0


def _ends(log: Path, begins: int) -> Iterator[tuple[str, str | None]]:
    """The jobs that are over by a log, with the error where they failed. begins: bytes that are not of this batch"""
    with suppress(OSError), open(log, "rb") as handle:
        handle.seek(begins)
        for line in handle:
            # There are thousands of others for each of these; the last line may be half written.
            if f'"stage": "{END}"'.encode() in line:
                with suppress(ValueError):
                    end = json.loads(line)
                    yield end["job"], end["error"]
