"""Kill the parts of running jobs at random moments, and check that nothing is lost, done twice or left behind.

python scripts/fault_injection.py --kills 50 --seed 1

A Ray cluster of several nodes is started on this machine. Jobs run on it one after the other, with stand-ins for the
networks (everything else is real: decoding, encoding, the job's directory, joining), while the driver, a worker or a
whole node is killed with SIGKILL at moments and in an order that the seed decides. A driver that was killed is started
again with the same command, a node is replaced. In the end each output must be the undisturbed one byte for byte, no
segment may have been computed after it was finished, and nothing may lie beside the output. Ends with 0 when that is
so; prints a summary, with --json as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from dynface_video.errors import DynfaceError
from dynface_video.jobs.executors.base import Call, SegmentResult
from dynface_video.jobs.worker import VideoPerformer

NODES = 3
FRAMES, SEGMENT_FRAMES = 240, 5
KINDS = ("driver", "worker", "node")
LONGEST_JOB = 300.0
QUIETEST, LONGEST_PAUSE = 0.5, 3.0


class StandInPerformer(VideoPerformer):
    """A performer with a face that is always there, and a restorer that takes its time and changes the face."""

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Callable[[int], None]) -> Any:
        """Do a call, and leave a note of every segment that was computed."""
        value = super().perform(call, cache, on_frame)
        if isinstance(value, SegmentResult) and value.computed:
            with open(os.environ["FAULT_NOTES"], "a") as notes:
                notes.write(f"{value.number}\n")
        return value

    def _models(self, cache: dict[str, Any]) -> Any:
        sys.path.insert(0, os.environ["FAULT_SUPPORT"])
        from dynface_video.passes.networks import Models
        from identity import FoundFace, changing_pipeline, checkered

        pause = float(os.environ["FAULT_PAUSE"])

        def change(crops: np.ndarray) -> np.ndarray:
            time.sleep(pause)
            return checkered(crops)

        face = FoundFace((48, 32))
        return Models(changing_pipeline(change), face, face)  # type: ignore[arg-type]


def drive(source: Path, target: Path, address: str | None) -> None:
    """What the driver's process does: restore one video with the stand-ins."""
    from dynface_video.api import restore_video
    from dynface_video.jobs import task

    setattr(task, "VideoPerformer", StandInPerformer)  # noqa: B010
    options = {"address": address, "workers": NODES} if address else {}
    config = target.with_suffix(".yaml")
    restore_video(source, target, config=config, device="cpu", codec="libx264", encoder_preset="ultrafast", **options)


@dataclass
class Tally:
    """What happened. recomputed: segments that were computed although they were finished"""

    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    starts: int = 0
    recomputed: int = 0
    segments: int = 0
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Arena:
    """A cluster, and the jobs that run on it."""

    def __init__(self, folder: Path, seed: int, pause: float) -> None:
        from ray.cluster_utils import Cluster

        self.folder, self.random, self.tally = folder, random.Random(seed), Tally()
        support = Path(__file__).parents[1] / "tests" / "support"
        self.notes = folder / "computed.txt"
        root = str(Path(__file__).parents[1])
        os.environ |= {
            "FAULT_NOTES": str(self.notes),
            "FAULT_SUPPORT": str(support),
            "FAULT_PAUSE": str(pause),
            "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
        }
        # A cluster on one machine must not share what another one has left in the environment.
        os.environ.pop("RAY_ADDRESS", None)
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(NODES):
            self._add_node()

    def _add_node(self) -> None:
        self.cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)

    def undisturbed(self, source: Path) -> bytes:
        """The output of one process that nobody kills."""
        target = self._target("undisturbed")
        done = self._start(source, target, None).wait(LONGEST_JOB)
        if done != 0:
            raise SystemExit(f"the undisturbed job failed: {target.with_suffix('.err').read_text()[-2000:]}")
        self.notes.write_text("")
        return target.read_bytes()

    def job(self, source: Path, expected: bytes, kills: int) -> None:
        """A job during which so many parts are killed; checks what comes out."""
        self.tally.jobs += 1
        target = self._target(f"job{self.tally.jobs}")
        self.notes.write_text("")
        left, ended = kills, time.monotonic() + LONGEST_JOB
        driver = self._start(source, target, self.cluster.address)
        due = self._next_kill()
        while driver.poll() != 0 and time.monotonic() < ended:
            if driver.poll() is not None and driver.returncode not in (0, -signal.SIGKILL):
                self.tally.complaints.append(f"{target.name}: exit {driver.returncode}: {_tail(target)}")
                return
            if driver.poll() == -signal.SIGKILL:
                driver, due = self._start(source, target, self.cluster.address), self._next_kill()
            if left and time.monotonic() >= due and self._kill(self.random.choice(KINDS), driver):
                left, due = left - 1, self._next_kill()
            time.sleep(0.02)
        if driver.poll() is None:
            driver.kill()
            self.tally.complaints.append(f"{target.name}: not done after {LONGEST_JOB:.0f} s: {_tail(target)}")
            return
        self._check(target, expected)

    def _next_kill(self) -> float:
        return time.monotonic() + self.random.uniform(QUIETEST, LONGEST_PAUSE)

    def _target(self, name: str) -> Path:
        target = self.folder / name / "out.mp4"
        target.parent.mkdir()
        target.with_suffix(".yaml").write_text(f"output:\n  segment_frames: {SEGMENT_FRAMES}\n")
        return target

    def _start(self, source: Path, target: Path, address: str | None) -> subprocess.Popen[bytes]:
        self.tally.starts += 1
        command = [sys.executable, __file__, "--drive", str(source), str(target), *([address] if address else [])]
        with open(target.with_suffix(".err"), "ab") as log:
            return subprocess.Popen(command, stderr=log, stdout=log)

    def _kill(self, kind: str, driver: subprocess.Popen[bytes]) -> bool:
        """Kill one process of this kind; False if none is running."""
        if kind == "driver":
            driver.kill()
            driver.wait()
        elif kind == "worker":
            workers = sorted(self._workers())
            if not workers:
                return False
            os.kill(self.random.choice(workers), signal.SIGKILL)
        else:
            node = self.random.choice(sorted(self.cluster.worker_nodes, key=lambda node: node.unique_id))
            self.cluster.remove_node(node, allow_graceful=False)
            self._add_node()
        self.tally.kills[kind] += 1
        return True

    def _workers(self) -> list[int]:
        """The processes of our cluster's pool."""
        raylets = {
            info.process.pid
            for node in self.cluster.worker_nodes
            for infos in node.all_processes.values()
            for info in infos
        }
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    name = (entry / "cmdline").read_bytes()
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except (OSError, ValueError, IndexError):
                    continue
                if name.startswith(b"ray::CallRunner") and parent in raylets:
                    found.append(int(entry.name))
        return found

    def _check(self, target: Path, expected: bytes) -> None:
        if not target.exists():
            there = sorted(str(path.relative_to(target.parent)) for path in target.parent.rglob("*"))
            self.tally.complaints.append(f"{target.parent.name}: no output; there are {there}: {_tail(target)}")
            return
        if target.read_bytes() != expected:
            self.tally.complaints.append(f"{target.parent.name}: the output differs from the undisturbed one")
        kept = {"out.mp4", "out.mp4.record.zip", "out.yaml", "out.err"}
        left = [path.name for path in target.parent.iterdir() if path.name not in kept]
        if left:
            self.tally.complaints.append(f"{target.parent.name}: left behind: {', '.join(left)}")
        computed = Counter(self.notes.read_text().split())
        self.tally.segments += len(computed)
        self.tally.recomputed += sum(count - 1 for count in computed.values())


def make_clip(path: Path) -> None:
    """A small clip with movement and sound-free, as real files are encoded."""
    y, x = np.mgrid[0:64, 0:96].astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"preset": "ultrafast"}
        for number in range(FRAMES):
            channels = [np.sin(x / 9 + 0.3 * number), np.cos(y / 7 - 0.3 * number), np.sin((x + y) / 13)]
            picture = np.rint(128 + 90 * np.stack(channels, axis=-1)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _tail(target: Path) -> str:
    return target.with_suffix(".err").read_text(errors="replace")[-1500:]


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-a-job", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.4, help="seconds that a segment takes at least")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--drive", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        try:
            drive(Path(options.drive[0]), Path(options.drive[1]), options.drive[2] if len(options.drive) > 2 else None)
        except DynfaceError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clip.mp4"
        make_clip(source)
        arena = Arena(Path(folder), options.seed, options.pause)
        try:
            expected = arena.undisturbed(source)
            while (left := options.kills - arena.tally.kills.total()) > 0 and not arena.tally.complaints:
                arena.job(source, expected, min(options.kills_a_job, left))
        finally:
            arena.cluster.shutdown()
    tally = arena.tally
    tally.seconds = round(time.monotonic() - began, 1)
    print(json.dumps(vars(tally)) if options.json else _summary(tally))
    return 1 if tally.complaints or tally.recomputed else 0


def _summary(tally: Tally) -> str:
    kills = ", ".join(f"{tally.kills[kind]} {kind}s" for kind in KINDS)
    lines = [
        f"{tally.kills.total()} kills ({kills}) over {tally.jobs} jobs, {tally.starts} starts, {tally.seconds:.0f} s",
        f"{tally.segments} segments, {tally.recomputed} computed again after they were finished",
        *tally.complaints,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
