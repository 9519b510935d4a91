"""How far a job, or a batch and all jobs of a folder, are: read from outside, without disturbing them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError
from dynface_video.jobs.directory import PLAN
from dynface_video.jobs.executors.base import RESTORE
from dynface_video.jobs.job_state import read_object, read_state
from dynface_video.jobs.record import read_batch

RECENT, SETTLED = 600.0, 30.0
"""Seconds over which speed is measured, at most and at least."""


def read_status(path: Path) -> dict[str, Any]:
    """What is known of the jobs at a path: a job's directory, an output that has one beside it, or a folder of such.

    Gives `jobs`, a list of dicts: job, source, output, running, stage, frames_done, frames, frames_per_second (of the
    last ten minutes, None when unknown), seconds_left, segments_done, failures (the last of each segment that is not
    done), error; and `batch`, how the batch into the folder is doing as `read_batch` has it, None where there was none.
    Raises InputError when there is neither.
    """
    jobs, batch = [_read_job(job) for job in _find(path)], read_batch(path)
    if not jobs and batch is None:
        raise InputError(f"there is no unfinished job at {path}")
    return {"batch": batch, "jobs": jobs}


def _find(path: Path) -> Iterator[Path]:
    beside = path.with_name(f"{path.name}.job")
    if (path / PLAN).exists():
        yield path
    elif (beside / PLAN).exists():
        yield beside
    elif path.is_dir():
        yield from sorted(plan.parent for plan in path.rglob(f"*.job/{PLAN}"))


def _read_job(job: Path) -> dict[str, Any]:
    plan, state, log = read_object(job / PLAN), read_state(job), list(_lines(job / "log.jsonl"))
    output = state.output or str(job.with_name(job.name.removesuffix(".job")))
    segments = {line["segment"]: line for line in log if "segment" in line}
    failed = [line for line in segments.values() if "failure" in line]
    rate = _rate(log) if state.running and state.stage == RESTORE else None
    left = (state.frames - state.frames_done) / rate if rate and state.frames else None
    return {
        "job": str(job),
        "source": plan.get("source"),
        "output": output,
        "running": state.running,
        "stage": state.stage,
        "frames_done": state.frames_done,
        "frames": state.frames,
        "frames_per_second": round(rate, 2) if rate else None,
        "seconds_left": round(left) if left is not None else None,
        "segments_done": len(list((job / "segments").glob("[0-9]*.json"))),
        "failures": [
            {name: line.get(name) for name in ("segment", "start", "stop", "attempt", "failure", "reason")}
            for line in failed
        ],
        "error": state.error,
    }


def _rate(log: list[dict[str, Any]]) -> float | None:
    """Frames a second of the segments that ended in the last minutes; None where they tell too little."""
    since = time.time() - RECENT
    recent = [line for line in log if line.get("computed") and line.get("frames") and line["time"] >= since]
    if len(recent) < 2:
        return None
    spent = recent[-1]["time"] - recent[0]["time"]
    return float(sum(line["frames"] for line in recent[1:])) / spent if spent >= SETTLED else None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text()
    except OSError:
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            # The last line may be half written.
            continue
