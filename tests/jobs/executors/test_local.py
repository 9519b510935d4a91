"""Calls in this process, and the one that has killed it before in a subprocess."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError
from dynface_video.jobs.executors.base import FATAL, LOST, RESTORE, Call
from dynface_video.jobs.executors.local import LocalExecutor
from dynface_video.jobs.plan import Segment


@dataclass(frozen=True)
class Deadly:
    """Takes its process down with it, as a decoder may. folder: for its mark"""

    folder: Path
    kind: str

    def crash_marker(self, call: Call) -> Path:
        return self.folder / "mark"

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Any) -> Any:
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "raise":
            raise InputError("unusable")
        return os.getpid()


def test_what_once_killed_its_process_is_tried_in_one_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    executor = LocalExecutor(lambda call, done: None)
    executor.register(0, Deadly(tmp_path, "kill"))
    executor.register(1, Deadly(tmp_path, "live"))
    executor.register(2, Deadly(tmp_path, "raise"))
    executor.submit(Call(0, RESTORE, Segment(0, 0, 1)))
    (outcome,) = executor.wait(1)
    assert outcome.failure is not None and outcome.failure.kind == LOST
    assert (tmp_path / "mark").exists()

    executor.submit(Call(1, RESTORE, Segment(0, 0, 1)))
    (outcome,) = executor.wait(1)
    assert outcome.value not in (None, os.getpid()) and not (tmp_path / "mark").exists()

    executor.submit(Call(1, RESTORE, Segment(0, 0, 1)))
    assert executor.wait(1)[0].value == os.getpid()
    executor.submit(Call(2, RESTORE, Segment(0, 0, 1)))
    (outcome,) = executor.wait(1)
    assert outcome.failure is not None and outcome.failure.kind == FATAL and not (tmp_path / "mark").exists()
