"""The log of a job: one JSON line for every call that ended, for people and programs that look into it later.

The log of a batch has one besides for every video that is over.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynface_video.jobs.executors.base import Outcome, SegmentResult

END = "end"
"""Stage of the line that says that a video is over."""


@dataclass(frozen=True)
class JobLog:
    """A file that lines are added to."""

    path: Path

    def add(self, video: str, outcome: Outcome) -> None:
        """Note how a call ended."""
        self._write(record(video, outcome))

    def end(self, video: str, job: Path, error: str | None) -> None:
        """Note that a video is over. job: its directory; error: why it failed, None where it did not"""
        self._write({"time": round(time.time(), 3), "video": video, "stage": END, "job": str(job), "error": error})

    def _write(self, line: dict[str, Any]) -> None:
        # What cannot be noted, on a full disk, must not end the job.
        with suppress(OSError), open(self.path, "a") as handle:
            handle.write(json.dumps(line) + "\n")


def record(video: str, outcome: Outcome) -> dict[str, Any]:
    """What the log says about a call.

    video, stage, attempt, batch (faces in one network evaluation where it is not the settings'), worker; of a segment:
    segment, start, stop; where it worked: frames, faces, unet_evaluations, seconds by stage, peak_memory and
    peak_gpu_memory (bytes), node, computed (false where it was found done); where not: failure and reason
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
            "unet_evaluations": value.unet_evaluations,
            "seconds": {stage: round(spent, 4) for stage, spent in value.seconds.items()},
            "peak_memory": value.peak_memory,
            "peak_gpu_memory": value.peak_gpu_memory,
            "node": value.node,
            "computed": value.computed,
        }
    return line
