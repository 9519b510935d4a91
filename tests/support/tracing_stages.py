"""Stages that record what they are asked for, in place of networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynface_video.config import RestorationSettings
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Estimates, Sampler, Stage, StageConfig

SIZE = 32
POINTS = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], np.float32)
BATCH = 8


@dataclass
class Trace:
    """What the stages were asked for."""

    windows: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    keys: list[NoiseKey] = field(default_factory=list)
    coarse: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """A restoration model of which only the properties matter."""

    reads_windows: bool
    reads_coarse: bool


@dataclass
class TracingSampler:
    """Makes a face brighter."""

    trace: Trace
    faces: list[Tensor] = field(default_factory=list)

    @property
    def evaluations(self) -> int:
        return len(self.faces)

    def add(self, estimates: Tensor, levels: Any, steps: Any, noise_keys: Sequence[NoiseKey], strengths: Any) -> range:
        self.trace.keys += noise_keys
        self.faces += list((estimates + 0.01).clamp(0, 1))
        return range(len(self.faces) - len(estimates), len(self.faces))

    def take(self, numbers: Iterable[int]) -> list[Tensor]:
        return [self.faces[number] for number in numbers]


@dataclass(frozen=True, eq=False)
class TracingStage(Stage):
    """Means over windows in place of RM, and a sampler that makes a face brighter."""

    trace: Trace = field(default_factory=Trace)

    def regress(self, crops: Tensor, coarse: Tensor | None = None, windows: Sequence[Tensor] = ()) -> Estimates:
        self.trace.windows += [len(window) for window in windows]
        self.trace.calls.append(len(crops))
        if coarse is not None:
            self.trace.coarse += list(coarse)
            crops = (crops + coarse) / 2
        groups = windows or [crop[None, ...][:0] for crop in crops]
        means = [torch.cat([crop[None], window]).mean(dim=0) for crop, window in zip(crops, groups, strict=True)]
        return Estimates(crops, torch.stack(means))

    def estimate_levels(self, estimates: Estimates) -> tuple[Tensor, Tensor]:
        count = len(estimates.estimate)
        return torch.full((count,), 0.01), torch.ones(count)

    def face_sampler(self, on_step: Any = None) -> Any:
        return TracingSampler(self.trace)


SAMPLER: Any = Sampler(None, None, None)  # type: ignore[arg-type]


def tracing(window: int = 1, *, stages: int = 1, radius: int = 8, **changes: Any) -> FacePipeline:
    settings, device = RestorationSettings(**{"batch_size": BATCH} | changes), torch.device("cpu")
    made = []
    for number in range(stages):
        config = StageConfig(SIZE << number, "rm", window_radius=0 if number else window, temporal_radius=radius)
        model = Reader(reads_windows=window > 0 and number == 0, reads_coarse=number > 0)
        made.append(TracingStage(config, model, SAMPLER, settings, device))  # type: ignore[arg-type]
    return FacePipeline(tuple(made), settings, device)


def trace_of(pipeline: FacePipeline, number: int = 0) -> Trace:
    stage = pipeline.stages[number]
    assert isinstance(stage, TracingStage)
    return stage.trace
