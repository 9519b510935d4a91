"""How large the benchmark is: for a data-centre GPU, or a dry run of the same code on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from dynface_video.pipeline import FacePipeline


@dataclass(frozen=True)
class Scale:
    """Sizes of what is measured.

    Attributes:
        sizes: Sides of the last stages.
        batches: Faces in one call.
        block: Frames that a video restores at once.
        faces: That are compared between devices and precisions.
        prior: Arguments of `UNetPrior`.
        slots: Of the sampling engine.
        spread: Faces at a spread of levels.
        matrix: Side of the matrices of the peak's measurement.
        copied: Floats of the copy's.
        people: Faces in each frame of a video.
        window: Seconds that a call is repeated for.
        strengths: Of the degradation of faces.
    """

    sizes: tuple[int, ...] = (128, 256, 512)
    batches: tuple[int, ...] = (16, 64)
    block: int = 16
    faces: int = 8
    prior: Mapping[str, Any] = field(default_factory=dict)
    slots: tuple[int, ...] = (1, 4, 16, 32, 64)
    spread: int = 32
    matrix: int = 8192
    copied: int = 1 << 28
    people: tuple[int, ...] = (1, 4)
    window: float = 0.25
    strengths: tuple[str, ...] = ("mild", "medium", "severe")


TINY = Scale(
    sizes=(128,),
    batches=(1,),
    block=1,
    faces=1,
    prior={"resolution": 16, "channel_mult": (1, 2), "blocks": (1, 1), "attention_sizes": (8,)},
    slots=(2,),
    spread=2,
    matrix=128,
    copied=1 << 14,
    people=(1,),
    window=0.0,
    strengths=("medium",),
)
"""For a dry run."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What the sections work on.

    Attributes:
        pipeline: Of the preset, on the device.
        scale: Of everything.
        faces: Folder or tar of aligned clean faces; None for made-up ones.
    """

    pipeline: FacePipeline
    scale: Scale
    faces: str | None = None

    @property
    def device(self) -> torch.device:
        """That is measured."""
        return self.pipeline.device
