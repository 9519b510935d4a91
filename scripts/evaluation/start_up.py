"""How long a command takes before it does anything: until a clip's first frame, and where it only tells something.

Each is a process of its own. Processor time is told beside that of the clock: it does not grow while other work has the
core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynface_video.errors import JobError
from evaluation.process_cost import PROGRAM, REPOSITORY, run_measured
from evaluation.whole_runs import RATE, face_clip

TELLING = (("--help",), ("--version",), ("models", "list"), ("settings",), ("doctor",))
RESTORE = """
import json, sys, time
began = float(sys.argv[1])
import dynface_video
marks = []
def progress(stage, done, total):
    if stage == "analyze" and done and not marks:
        marks.append([time.time() - began, time.process_time()])
dynface_video.restore_video(sys.argv[2], sys.argv[3], device="cpu", threads=1, progress=progress)
print(json.dumps([*marks, [time.time() - began, time.process_time()]]))
"""


@dataclass(frozen=True)
class StartUp:
    """Seconds by the clock and of processor time.

    Attributes:
        first_frame: Of a restoration of one second of video, until its first frame is analysed.
        whole: Of all of it.
        commands: Of commands that only tell something, by their words.
    """

    first_frame: tuple[float, float]
    whole: tuple[float, float]
    commands: dict[str, tuple[float, float]]


def time_start_up(*, rounds: int) -> StartUp:
    """Time each several times; the medians.

    Args:
        rounds: How often.

    Raises:
        JobError: A command failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "one_second.mp4"
        face_clip(clip, int(RATE))
        runs = [_restored(clip, folder / f"{number}.mp4") for number in range(rounds)]
        commands = {" ".join(words): [_told(words, folder) for _ in range(rounds)] for words in TELLING}
    first, whole = (_median([run[part] for run in runs]) for part in (0, 1))
    return StartUp(first, whole, {words: _median(costs) for words, costs in commands.items()})


def start_up_table(found: StartUp) -> str:
    """A Markdown table."""
    lines = ["| what | seconds | processor seconds | share of processor time |", "| --- | --- | --- | --- |"]
    share = found.first_frame[1] / found.whole[1]
    lines.append(f"| restore one second, to the first frame | {_cells(found.first_frame)} | {share:.0%} |")
    lines.append(f"| restore one second, all of it | {_cells(found.whole)} | 100% |")
    lines += [f"| dynface-video {words} | {_cells(cost)} | |" for words, cost in found.commands.items()]
    return "\n".join(lines)


def _restored(clip: Path, target: Path) -> list[tuple[float, float]]:
    command = [sys.executable, "-c", RESTORE, str(time.time()), str(clip), str(target)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise JobError(f"a clip of one second could not be restored: {done.stderr[-2000:]}")
    return [(seconds, cpu) for seconds, cpu in json.loads(done.stdout)]


def _told(words: Sequence[str], folder: Path) -> tuple[float, float]:
    cost = run_measured([sys.executable, "-c", PROGRAM, *words], folder, {"PYTHONPATH": str(REPOSITORY)})
    return cost.seconds, cost.cpu_seconds


def _median(costs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    seconds, cpu = np.median(np.array(costs), axis=0).tolist()
    return seconds, cpu


def _cells(cost: tuple[float, float]) -> str:
    return f"{cost[0]:.2f} | {cost[1]:.2f}"
