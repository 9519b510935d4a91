"""How far a job is, read from outside: what its driver last wrote into `state.json`, and whether one is at work."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynface_video.jobs.directory import ANALYSIS, STATE, is_running
from dynface_video.jobs.executors.base import ANALYZE, RESTORE


@dataclass(frozen=True)
class JobState:
    """Where a job stands.

    stage: "analyze", "restore" or "assemble"; finished: frames done in it that are kept whatever happens; under_way:
    those of segments that are not finished, 0 where nobody is at it any more; frames: of the video, None where it is
    not known; output: as the job names it; error: why it failed
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
        """Frames that are done in the stage."""
        return self.finished + self.under_way


def read_state(job: Path) -> JobState:
    """The state of the job in a directory; of one that has written nothing yet, what can be seen."""
    state, running = read_object(job / STATE), is_running(job)
    return JobState(
        running,
        state.get("stage", RESTORE if (job / ANALYSIS).exists() else ANALYZE),
        state.get("frames_done", 0),
        # What a run that was killed had of a segment is lost.
        state.get("frames_under_way", 0) if running else 0,
        state.get("frames"),
        state.get("output"),
        state.get("error"),
    )


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of a file; an empty one where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
