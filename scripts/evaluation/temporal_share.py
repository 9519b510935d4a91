"""How a face's time divides between the networks of its stages and the temporal work around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.face_records import FaceKey
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Stage
from dynface_video.tracking.observation import FaceTrack
from dynface_video.video_pipeline import VideoPipeline, reach

SIZES = (128, 256, 512)
LEVEL = 1.5 / 128
"""Relative blur level of the measured faces; they are averaged with the full weight."""


@dataclass(frozen=True)
class FaceTime:
    """Seconds a face takes.

    Attributes:
        size: Resolution of the last stage.
        networks: In RM and sampler of all stages up to that one.
        temporal: In flow, windows, averages and colour.
    """

    size: int
    networks: float
    temporal: float

    @property
    def share(self) -> float:
        """Of the temporal work, in [0, 1]."""
        return self.temporal / (self.networks + self.temporal)


@dataclass(frozen=True, eq=False)
class TimedStage(Stage):
    """A stage that notes the seconds its networks take."""

    seconds: list[float] = field(default_factory=list)

    def regress(self, *arguments: Any, **named: Any) -> Any:
        """As `Stage.regress`."""
        return self._timed(super().regress, *arguments, **named)

    def face_sampler(self, *arguments: Any, **named: Any) -> Any:
        """As `Stage.face_sampler`."""
        sampler = super().face_sampler(*arguments, **named)
        take = sampler.take
        sampler.take = lambda numbers: self._timed(take, numbers)  # type: ignore[method-assign]
        return sampler

    def _timed(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        began = _now(self.device)
        result = function(*arguments, **named)
        self.seconds.append(_now(self.device) - began)
        return result


def time_faces(pipeline: FacePipeline, *, frames: int, sizes: Sequence[int] = SIZES) -> list[FaceTime]:
    """Time faces that go up to each resolution, in the middle of a track, when their neighbours are known.

    Args:
        pipeline: Its stages; a resolution beyond the last one is reached by repeating that one at twice the size.
        frames: How many consecutive faces are timed.
        sizes: Resolutions of the last stage.
    """
    stages = list(pipeline.stages)
    while stages[-1].resolution < max(sizes):
        last = stages[-1]
        stages.append(replace(last, config=replace(last.config, resolution=2 * last.resolution)))
    timed = [[stage for stage in stages if stage.resolution <= size] for size in sizes]
    return [_time_track(pipeline, own, frames) for own in timed]


def time_table(times: Sequence[FaceTime]) -> str:
    """A Markdown table of face times."""
    lines = [
        "| faces up to | networks, ms a face | temporal work, ms a face | share of temporal work |",
        "| --- | --- | --- | --- |",
    ]
    for one in times:
        lines.append(f"| {one.size} | {1000 * one.networks:.0f} | {1000 * one.temporal:.0f} | {one.share:.0%} |")
    return "\n".join(lines)


def _time_track(pipeline: FacePipeline, stages: Sequence[Stage], frames: int) -> FaceTime:
    seconds: list[float] = []
    own = [_timed_stage(stage, seconds) for stage in stages]
    far = reach(own)
    length = 2 * far + 2 * frames
    video = VideoPipeline(replace(pipeline, stages=tuple(own)), {0: _track(own, length)}, seed=0)
    for at in range(length):
        video.add(FaceKey(0, at), [_crop(stage.resolution, at) for stage in own])
    # The first block pays for the neighbours before it; the second is what a video goes on with.
    video.restore([FaceKey(0, at) for at in range(far, far + frames)])
    video.discard({0: far + frames})
    seconds.clear()
    began = _now(pipeline.device)
    video.restore([FaceKey(0, at) for at in range(far + frames, far + 2 * frames)])
    total = _now(pipeline.device) - began
    return FaceTime(own[-1].resolution, sum(seconds) / frames, (total - sum(seconds)) / frames)


def _timed_stage(stage: Stage, seconds: list[float]) -> TimedStage:
    parts = {part.name: getattr(stage, part.name) for part in fields(Stage)}
    return TimedStage(**parts, seconds=seconds)


def _track(stages: Sequence[Stage], length: int) -> AnalyzedTrack:
    track = FaceTrack(0, 0, np.zeros((length, 5, 2), np.float32), np.ones(length, bool), np.ones(length, np.float32))
    levels = np.stack([np.full(length, LEVEL if stage.sampler else 0.0) for stage in stages])
    steps = [
        stage.starting_steps(level) if stage.sampler else np.zeros(length, np.int64)
        for stage, level in zip(stages, levels, strict=True)
    ]
    return AnalyzedTrack(track, levels, np.stack(steps), grey=False)


def _crop(size: int, at: int) -> np.ndarray:
    """A pattern that moves by half a percent of the crop a frame, with noise of its own, (size, size, 3)."""
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin((6 + k) * (x + 0.005 * at)) * np.cos((9 - k) * y) for k in range(3)]
    noise = np.random.default_rng(at).normal(0, 0.02, (size, size, 3))
    return np.clip(0.5 + 0.3 * np.stack(waves, axis=2) + noise, 0, 1).astype(np.float32)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
