"""A call in a subprocess: its value, its error, and its death come back."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynface_video.errors import JobError
from dynface_video.jobs.executors.base import ANALYZE, ERROR, LOST, Call, Failure
from dynface_video.jobs.executors.subprocess import run_in_subprocess


@dataclass(frozen=True)
class Acting:
    """Does what its name says."""

    act: str

    def preload(self, cache: dict[str, Any]) -> None:
        raise NotImplementedError

    def crash_marker(self, call: Call) -> Path:
        raise NotImplementedError

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Callable[[int], None]) -> Any:
        on_frame(1)
        if self.act == "raise":
            raise JobError("a bad spot")
        if self.act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(sys.stdout.fileno(), b"noise on standard output")
        return os.getpid(), os.getpgrp(), cache


def test_the_value_comes_from_another_process_and_noise_does_not_harm_it() -> None:
    process, group, cache = run_in_subprocess(Acting("answer"), Call(0, ANALYZE))
    # A group of its own: Ctrl-C in the terminal must not reach it.
    assert process != os.getpid() and group == process and cache == {}


def test_an_error_and_a_death_come_back_as_data() -> None:
    failure = run_in_subprocess(Acting("raise"), Call(0, ANALYZE))
    assert isinstance(failure, Failure) and (failure.kind, failure.reason) == (ERROR, "a bad spot")
    assert isinstance(failure.error, JobError)
    assert run_in_subprocess(Acting("die"), Call(0, ANALYZE)) == Failure(LOST, "its process died")
