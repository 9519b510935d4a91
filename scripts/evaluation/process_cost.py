"""What a command costs as a process of its own: time by the clock, processor time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dynface_video.errors import JobError

# The command line has moved since the versions that a checkout may be of.
PROGRAM = """
import sys
try:
    from dynface_video.cli.main import main
except ImportError:
    from dynface_video.cli import main
sys.exit(main())
"""
LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=2)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
seconds, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
print(json.dumps([process.returncode, seconds, cpu, usage.ru_maxrss]))
"""
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class ProcessCost:
    """What a process has used.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Processor time of all its threads.
        memory: Most resident memory at once, bytes.
    """

    seconds: float
    cpu_seconds: float
    memory: int

    def __sub__(self, other: ProcessCost) -> ProcessCost:
        """Times beyond those of another; its own memory."""
        return ProcessCost(self.seconds - other.seconds, self.cpu_seconds - other.cpu_seconds, self.memory)


def run_measured(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> ProcessCost:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        folder: In which it runs.
        environment: Variables beside those of this process.

    Raises:
        JobError: It failed.
    """
    # A child's peak memory begins at its parent's, so a small process starts it.
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise JobError(f"{command[0]} could not be run: {done.stderr[-2000:]}")
    code, seconds, cpu_seconds, memory = json.loads(done.stdout)
    if code:
        raise JobError(f"{command[0]} ended with {code}: {done.stderr[-2000:]}")
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return ProcessCost(seconds, cpu_seconds, memory * unit)


def restore_cost(video: Path, folder: Path, *, checkout: Path = REPOSITORY, options: Sequence[str] = ()) -> ProcessCost:
    """Restore a clip on the CPU by the command line of a checkout.

    Args:
        video: The clip.
        folder: For the output, which must not exist.
        checkout: Of the repository, of any version.
        options: Of `restore`, beside source, output and device.

    Raises:
        JobError: It failed.
    """
    target = folder / f"{len(list(folder.iterdir()))}-restored{video.suffix}"
    command = [sys.executable, "-c", PROGRAM, "restore", str(video.absolute()), "-o", str(target), "--device", "cpu"]
    return run_measured([*command, *options], folder, {"PYTHONPATH": str(checkout.absolute())})
