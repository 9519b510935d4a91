"""How long a restoration takes, beside the time that its networks alone are at work."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dynface_video.api import restore_video
from dynface_video.config import Settings, load_settings
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models
from dynface_video.stage import Stage


class NetworkClock:
    """Adds up the time of calls, in any thread; a call inside another is not counted twice.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Of the calling threads' processor time, which does not grow while another process has the core.
    """

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self._lock, self._inside = threading.Lock(), threading.local()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its calls timed."""

        def call(*arguments: Any, **named: Any) -> Any:
            if getattr(self._inside, "call", False):
                return function(*arguments, **named)
            self._inside.call = True
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self._inside.call = False
                with self._lock:
                    self.seconds += time.perf_counter() - began
                    self.cpu_seconds += time.thread_time() - cpu

        return call


@dataclass(frozen=True, eq=False)
class ClockedStage(Stage):
    """A stage whose networks are timed."""

    clock: NetworkClock = field(default_factory=NetworkClock)

    def regress(self, *arguments: Any, **named: Any) -> Any:
        """As `Stage.regress`."""
        return self.clock.timed(super().regress)(*arguments, **named)

    def estimate_levels(self, *arguments: Any, **named: Any) -> Any:
        """As `Stage.estimate_levels`."""
        return self.clock.timed(super().estimate_levels)(*arguments, **named)

    def face_sampler(self, *arguments: Any, **named: Any) -> Any:
        """As `Stage.face_sampler`."""
        return ClockedNetwork(super().face_sampler(*arguments, **named), "take", self.clock)


class ClockedNetwork:
    """A detector, locator, identifier or sampler, one of whose methods is timed."""

    def __init__(self, network: object, method: str, clock: NetworkClock) -> None:
        self._network, self._method, self._clock = network, method, clock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._network, name)
        return self._clock.timed(value) if name == self._method else value


class ClockedModels(ModelCache):
    """Networks that are timed, for both passes and the record."""

    def __init__(self, clock: NetworkClock) -> None:
        super().__init__()
        self._clock = clock

    def get(self, settings: Settings) -> Models:
        """See `ModelCache.get`."""
        return clocked(super().get(settings), self._clock)


def clocked(models: Models, clock: NetworkClock) -> Models:
    """The same models, timed."""
    stages = tuple(_clocked_stage(stage, clock) for stage in models.pipeline.stages)
    identifier = models.identifier
    return replace(
        models,
        pipeline=replace(models.pipeline, stages=stages),
        detector=ClockedNetwork(models.detector, "detect", clock),
        locator=ClockedNetwork(models.locator, "locate", clock),
        identifier=None if identifier is None else ClockedNetwork(identifier, "embed", clock),
    )


def _clocked_stage(stage: Stage, clock: NetworkClock) -> ClockedStage:
    parts = {part.name: getattr(stage, part.name) for part in fields(Stage)}
    return ClockedStage(**parts, clock=clock)


@dataclass(frozen=True)
class WallTime:
    """Seconds of one restoration, networks loaded before.

    Attributes:
        wall: By the clock, from the first frame's decoding to the published output.
        cpu: Processor time of the process.
        networks: Processor time of the networks alone: of one thread, on a CPU.
        stages: By the clock, of first pass, second pass and joining.
        frames: Length of the clip.
    """

    wall: float
    cpu: float
    networks: float
    stages: dict[str, float]
    frames: int


def time_restoration(video: Path, preset: str) -> WallTime:
    """Restore a clip on the CPU into a temporary folder, and time its networks.

    Args:
        video: The clip.
        preset: Whose networks.
    """
    clock = NetworkClock()
    models = ClockedModels(clock)
    for stage in models.get(load_settings(preset, None, {"device": "cpu"})).pipeline.stages:
        # Networks that would be loaded by the first face to need them.
        assert stage.sampler is None or stage.sampler.prior is not None
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        target = Path(folder) / f"restored{video.suffix}"
        result = restore_video(video, target, preset=preset, device="cpu", networks=models)
        spent = time.perf_counter() - began, time.process_time() - cpu
    return WallTime(*spent, clock.cpu_seconds, dict(result.seconds), result.frames)


def wall_table(found: WallTime) -> str:
    """A Markdown table of a restoration's times."""
    rows = [
        ("networks, processor time", found.networks),
        ("everything, processor time", found.cpu),
        ("everything, by the clock", found.wall),
        *((f"of these: {stage}", seconds) for stage, seconds in found.stages.items()),
    ]
    lines = ["| what | times the networks | seconds here | milliseconds a frame |", "| --- | --- | --- | --- |"]
    for name, seconds in rows:
        ratio = seconds / found.networks if found.networks else float("nan")
        lines.append(f"| {name} | {ratio:.2f} | {seconds:.1f} | {1000 * seconds / found.frames:.0f} |")
    return "\n".join(lines)
