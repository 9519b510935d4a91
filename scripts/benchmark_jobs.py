"""Measure the driver of jobs, and what a second worker brings: ratios that outlive the machine they were made on.

python scripts/benchmark_jobs.py                       # a driver with 64 workers that sleep instead of restoring
python scripts/benchmark_jobs.py --segments 10000 --sleep 0.4
python scripts/benchmark_jobs.py --video CLIP.mp4...   # one worker on one core and two on two
python scripts/benchmark_jobs.py --rounds 2 --video CLIP.mp4...         # and in reverse order, too

The sleeping workers do nothing but wait, so that many fit on a small machine; all else (the driver, Ray, the log) is
what a real job uses.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynface_video.config import ExecutionSettings
from dynface_video.errors import DynfaceError
from dynface_video.jobs.driver import Driver
from dynface_video.jobs.executors.base import RESTORE, Call, Outcome, SegmentResult
from dynface_video.jobs.executors.ray import RayExecutor
from dynface_video.jobs.journal import JobLog
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.signals import StopRequest

WORKERS = {"one": ("0", 1), "two": ("0,1", 2)}
"""The cores and the number of workers of each run."""


@dataclass(frozen=True)
class SleepingPerformer:
    """Sleeps where others restore. seconds: for each segment"""

    seconds: float

    def preload(self, cache: dict[str, Any]) -> None:
        """See `Performer`."""

    def crash_marker(self, call: Call) -> Path:
        """See `Performer`."""
        return Path(os.devnull)

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Callable[[int], None]) -> Any:
        """See `Performer`; returns when it began and ended."""
        if call.kind != RESTORE or call.segment is None:
            return ()
        began = time.time()
        time.sleep(self.seconds)
        times = {"began": began, "ended": time.time()}
        return SegmentResult(call.segment.number, 120, 120, 700, times, node=str(os.getpid()), elapsed=self.seconds)


@dataclass
class SleepingTask:
    """A video of so many segments. busy: by worker, (first begin, last end, seconds at work)"""

    name: str
    count: int
    sleep: float
    log: JobLog
    weight: float = 1.0
    batch_size: int = 8
    done: int = 0
    busy: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    memory: list[tuple[int, int]] = field(default_factory=list)
    failed: DynfaceError | None = None

    def begin(self) -> SleepingPerformer:
        """See `VideoTask`."""
        return SleepingPerformer(self.sleep)

    def is_analyzed(self) -> bool:
        """See `VideoTask`."""
        return True

    def unfinished_segments(self) -> Sequence[Segment]:
        """See `VideoTask`."""
        return [Segment(i, 120 * i, 120 * (i + 1)) for i in range(self.count)]

    def record_outcome(self, outcome: Outcome) -> None:
        """See `VideoTask`."""
        self.log.add(self.name, outcome)
        if isinstance(outcome.value, SegmentResult):
            times, node = outcome.value.seconds, outcome.value.node
            first, _, at_work = self.busy.get(node, (times["began"], 0.0, 0.0))
            self.busy[node] = (first, times["ended"], at_work + times["ended"] - times["began"])
            self.done += 1
            if self.done % max(1, self.count // 4) == 0:
                self.memory.append((self.done, _resident()))

    def update_progress(self) -> None:
        """See `VideoTask`."""

    def disk_needed(self) -> int:
        """See `VideoTask`."""
        return 0

    def finish(self) -> None:
        """See `VideoTask`."""

    def fail(self, error: DynfaceError) -> None:
        """See `VideoTask`."""
        self.failed = error

    def suspend(self) -> None:
        """See `VideoTask`."""


def measure_driver(workers: int, segments: int, sleep: float, videos: int) -> dict[str, Any]:
    """Drive sleeping workers; returns busy share, the driver's CPU time a segment, and its memory on the way."""
    with tempfile.TemporaryDirectory() as folder:
        log = JobLog(Path(folder) / "log.jsonl")
        tasks = [SleepingTask(f"video {i}", segments // videos, sleep, log) for i in range(videos)]
        executor = RayExecutor(ExecutionSettings(workers=workers, device="cpu"))
        try:
            up = _wait_for_workers(executor, workers)
            cpu, wall = time.process_time(), time.perf_counter()
            Driver(tasks, executor, StopRequest()).run()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        finally:
            executor.close()
    for task in tasks:
        if task.failed is not None:
            raise task.failed
    done = sum(task.done for task in tasks)
    spans = [span for task in tasks for span in task.busy.values()]
    by_worker: dict[str, list[tuple[float, float, float]]] = {}
    for task in tasks:
        for node, span in task.busy.items():
            by_worker.setdefault(node, []).append(span)
    at_work = sum(span[2] for span in spans)
    own = sum(max(s[1] for s in parts) - min(s[0] for s in parts) for parts in by_worker.values())
    memory = [point for task in tasks for point in task.memory]
    return {
        "workers": len(by_worker),
        "segments": done,
        "sleep": sleep,
        "seconds_until_workers_were_up": round(up, 1),
        "seconds": round(wall, 1),
        "busy_share": round(at_work / (workers * wall), 4),
        "busy_share_from_first_to_last_call": round(at_work / own, 4),
        "driver_cpu_ms_a_segment": round(1000 * cpu / done, 3),
        "driver_memory_mib": [round(value / 2**20, 1) for _, value in memory],
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _wait_for_workers(executor: RayExecutor, workers: int) -> float:
    """Let all come up first: that takes as long as the machine needs for so many processes."""
    began = time.perf_counter()
    while executor.ready_workers < workers:
        executor.wait(1.0)
        if time.perf_counter() - began > 600:
            raise SystemExit(f"only {executor.ready_workers} of {workers} workers came up")
    return time.perf_counter() - began


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_workers(videos: Sequence[Path], segment_frames: int, preset: str, rounds: int) -> dict[str, Any]:
    """Restore clips with one worker on one core and with two on two, in reverse order in every second round, so that a
    machine that slows down favours neither if rounds are even. The same bytes must come out of all."""
    seconds = {name: dict.fromkeys(("analyze", "restore", "whole"), 0.0) for name in WORKERS}
    first: list[bytes] | None = None
    same = True
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(f"output:\n  segment_frames: {segment_frames}\n")
        for number in range(rounds):
            for name in list(WORKERS)[:: -1 if number % 2 else 1]:
                out = Path(folder) / str(number) / name
                out.parent.mkdir(exist_ok=True)
                cores, workers = WORKERS[name]
                options = ["-o", str(out), "--config", str(config), "--workers", str(workers), "--preset", preset]
                rows, whole = _batch([*map(str, videos), *options], cores)
                for stage in ("analyze", "restore"):
                    seconds[name][stage] += sum(row["seconds"][stage] for row in rows)
                seconds[name]["whole"] += whole
                outputs = [Path(row["output"]).read_bytes() for row in rows]
                first = outputs if first is None else first
                same = same and outputs == first
    ratio = {stage: round(seconds["one"][stage] / seconds["two"][stage], 2) for stage in seconds["one"]}
    rounded = {name: {stage: round(spent, 1) for stage, spent in run.items()} for name, run in seconds.items()}
    return {
        "videos": [video.name for video in videos],
        "rounds": rounds,
        "two_workers_to_one": ratio,
        "same_bytes": same,
        "seconds": rounded,
    }


def _batch(arguments: Sequence[str], cores: str) -> tuple[list[dict[str, Any]], float]:
    """Restore a batch on these cores; returns the answer's videos and the seconds it took."""
    program = "from dynface_video.cli.main import main; main()"
    command = ["taskset", "-c", cores, sys.executable, "-c", program, "batch", *arguments, "--device", "cpu", "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["videos"]
    return rows, time.perf_counter() - began


def main() -> int:
    """Parse the command line, measure, print one JSON object; 0 done, 2 unusable input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--segments", type=int, default=2560)
    parser.add_argument("--sleep", type=float, default=2.0, help="seconds a segment")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--video", type=Path, nargs="+", help="measure two workers against one on these instead")
    parser.add_argument("--segment-frames", type=int, default=24)
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--rounds", type=int, default=1, help="of --video, their seconds added up")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        if options.video:
            result = measure_workers(options.video, options.segment_frames, options.preset, options.rounds)
        else:
            result = measure_driver(options.workers, options.segments, options.sleep, options.videos)
    except DynfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
