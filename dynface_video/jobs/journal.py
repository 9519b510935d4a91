"""What a job and a batch write down about themselves, for `status` and for programs that read the log later.

    JOB/log.jsonl    one line for every call that ended
    batch.json       the videos of the latest batch: written once, atomically, before work begins
    batch.jsonl      the calls of all jobs of the batch, and a line for every video that is over

No restoration depends on these files, so a failure to write one never ends a job.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dynface_video.jobs.executors.base import Outcome, SegmentResult
from dynface_video.media.io.files import write_atomically

RECORD, LOG = "batch.json", "batch.jsonl"
END = "end"
"""Stage of a video's last line."""
DONE, RUNNING, FAILED, UNFINISHED, WAITING = "done", "running", "failed", "unfinished", "waiting"
"""States of a video in a batch; unfinished: begun, but no process is working on it; waiting: not begun."""


@dataclass(frozen=True)
class JobLog:
    """A log file of JSON lines.

    Args:
        path: The file; created by the first line.
    """

    path: Path

    def add(self, video: str, outcome: Outcome) -> None:
        """Append how a call ended.

        Args:
            video: Name of the video, as in messages.
            outcome: The call and its result or failure.
        """
        self._write(log_line(video, outcome))

    def end(self, video: str, job: Path, error: str | None) -> None:
        """Append that a video is over.

        Args:
            video: Name of the video, as in messages.
            job: The job's directory.
            error: Why it failed; None on success.
        """
        self._write({"time": round(time.time(), 3), "video": video, "stage": END, "job": str(job), "error": error})

    def _write(self, line: dict[str, Any]) -> None:
        with suppress(OSError), open(self.path, "a") as handle:
            handle.write(json.dumps(line) + "\n")


def log_line(video: str, outcome: Outcome) -> dict[str, Any]:
    """Describe the end of a call as a JSON object.

    Args:
        video: Name of the video, as in messages.
        outcome: The call and its result or failure.

    Returns:
        Always: time, video, stage, attempt; where they apply: batch (faces per network evaluation, if not the
        settings'), worker, and segment, start, stop. On success of a segment: frames, faces, drawn_faces,
        unet_evaluations, seconds by step and elapsed, peak_memory and peak_gpu_memory (bytes), node, computed (false if
        an earlier run had done it). On failure: failure (its kind) and reason.
    """
    call, failure, value = outcome.call, outcome.failure, outcome.value
    line: dict[str, Any] = {"time": round(time.time(), 3), "video": video, "stage": call.kind, "attempt": call.attempt}
    if call.segment is not None:
        line |= {"segment": call.segment.number, "start": call.segment.start, "stop": call.segment.stop}
    if call.batch is not None:
        line["batch"] = call.batch
    if outcome.worker is not None:
        line["worker"] = outcome.worker
    if failure is not None:
        line |= {"failure": failure.kind, "reason": failure.reason}
    elif isinstance(value, SegmentResult):
        line |= {
            "frames": value.frames,
            "faces": value.faces,
            "drawn_faces": value.drawn_faces,
            "unet_evaluations": value.unet_evaluations,
            "seconds": {step: round(spent, 4) for step, spent in value.seconds.items()},
            "elapsed": round(value.elapsed, 4),
            "peak_memory": value.peak_memory,
            "peak_gpu_memory": value.peak_gpu_memory,
            "node": value.node,
            "computed": value.computed,
        }
    return line


@dataclass(frozen=True)
class PlannedVideo:
    """A video of a batch at the moment the batch began.

    Args:
        source: Path or URL of the input.
        output: Path or URL of the output.
        status: DONE (the output existed), FAILED (it cannot be restored) or WAITING.
        job: The job's directory; empty unless WAITING.
        frames: Length of the video; None if unknown.
        kept: Work that earlier runs did, in frames, see `estimate.work_done`.
        error: Why it failed.
    """

    source: str
    output: str
    status: str
    job: str = ""
    frames: int | None = None
    kept: float = 0.0
    error: str | None = None


def write_batch_record(log: Path, videos: Sequence[PlannedVideo]) -> None:
    """Write which videos a batch is about to restore.

    Args:
        log: The batch's `batch.jsonl`; the record is written beside it.
        videos: The videos, in order.
    """
    with suppress(OSError):
        # The log is shared by all batches into a folder: lines before this offset belong to earlier ones.
        begins = log.stat().st_size if log.exists() else 0
        record = {"began": round(time.time(), 1), "log_begins": begins, "videos": [asdict(video) for video in videos]}
        write_atomically(log.with_name(RECORD), json.dumps(record))
