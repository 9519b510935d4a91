"""How far a job, or all jobs of a folder, are: read from outside, without disturbing them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError
from dynface_video.jobs.directory import ANALYSIS, PLAN, is_running

RECENT = 600.0


def read_status(path: Path) -> dict[str, Any]:
    """What is known of the jobs at a path: a job's directory, an output that has one beside it, or a folder of such.

    Gives `jobs`, a list of dicts: job, source, output, running, stage, frames_done, frames, frames_per_second (of the
    last ten minutes, None when unknown), seconds_left, segments_done, failures (the last of each segment that is not
    done), error. Raises InputError when there is none.
    """
    jobs = [_read_job(job) for job in _find(path)]
    if not jobs:
        raise InputError(f"there is no unfinished job at {path}")
    return {"jobs": jobs}


def _find(path: Path) -> Iterator[Path]:
    beside = path.with_name(f"{path.name}.job")
    if (path / PLAN).exists():
        yield path
    elif (beside / PLAN).exists():
        yield beside
    elif path.is_dir():
        yield from sorted(plan.parent for plan in path.rglob(f"*.job/{PLAN}"))


def _read_job(job: Path) -> dict[str, Any]:
    plan, state, log = _read(job / PLAN), _read(job / "state.json"), list(_lines(job / "log.jsonl"))
    output = state.get("output") or str(job.with_name(job.name.removesuffix(".job")))
    segments = {line["segment"]: line for line in log if "segment" in line}
    failed = [line for line in segments.values() if "failure" in line]
    running, frames = is_running(job), state.get("frames")
    # What a run that was killed had of a segment is lost.
    done = state.get("frames_done", 0) + (state.get("frames_under_way", 0) if running else 0)
    rate = _rate(log) if state.get("stage") == "restore" else None
    left = (frames - done) / rate if rate and frames else None
    return {
        "job": str(job),
        "source": plan.get("source"),
        "output": output,
        "running": running,
        "stage": state.get("stage", "restore" if (job / ANALYSIS).exists() else "analyze"),
        "frames_done": done,
        "frames": frames,
        "frames_per_second": round(rate, 2) if rate else None,
        "seconds_left": round(left) if left is not None else None,
        "segments_done": len(list((job / "segments").glob("[0-9]*.json"))),
        "failures": [
            {name: line.get(name) for name in ("segment", "start", "stop", "attempt", "failure", "reason")}
            for line in failed
        ],
        "error": state.get("error"),
    }


def _rate(log: list[dict[str, Any]]) -> float | None:
    """Frames a second of the segments that ended in the last minutes."""
    since = time.time() - RECENT
    recent = [line for line in log if line.get("computed") and line.get("frames") and line["time"] >= since]
    if len(recent) < 2:
        return None
    spent = recent[-1]["time"] - recent[0]["time"]
    return float(sum(line["frames"] for line in recent[1:])) / spent if spent > 0 else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
