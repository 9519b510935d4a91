"""Stands in for the models: a face that is always at the same place, and a pipeline that changes nothing or all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynface_video.config import RestorationSettings
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks
from dynface_video.jobs import video_job
from dynface_video.models.protocols import Regression
from dynface_video.passes import networks as models
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Sampler, Stage, StageConfig

FACE = np.array([[-9, -9], [9, -9], [0, 1], [-7, 10], [7, 10]], np.float32)
"""Landmarks around the middle of a small face."""
REACH = 60
"""Pixels around the middle of `FACE` that a change may reach."""


@dataclass(frozen=True)
class FoundFace:
    """Detector and locator of one face; centre: where, (x, y) in display pixels, None for no face."""

    centre: tuple[float, float] | None

    def detect(self, picture: np.ndarray) -> list[Detection]:
        if self.centre is None:
            return []
        points = FACE + np.array(self.centre, np.float32)
        return [Detection(box_from_landmarks(points), points, np.ones(5, np.float32), 0.99)]

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        points = np.repeat((FACE + np.array(self.centre, np.float32))[None], len(boxes), axis=0)
        return Landmarks(points, np.ones((len(boxes), 5), np.float32), np.full(len(boxes), 0.99, np.float32))


@dataclass(frozen=True)
class ChangingModel:
    """A restoration model that returns crops unchanged, or what `change` makes of them (B, R, R, 3) in [0, 1]."""

    change: Callable[[np.ndarray], np.ndarray] | None = None
    reads_windows: bool = False
    reads_coarse: bool = False

    def regress(
        self, degraded: Tensor, coarse: Tensor | None, neighbours: Tensor | None, valid: Tensor | None
    ) -> Regression:
        if self.change is None:
            return Regression(degraded, degraded)
        return Regression(degraded, 2 * to_tensor(self.change(to_array((degraded + 1) / 2))) - 1)


class SharpFaces:
    """SE that finds every face sharp, and a prior that must not be asked."""

    resolution = 64
    schedule = NoiseSchedule()

    def estimate_level(self, degraded: Tensor, restored: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(degraded)), torch.ones(len(degraded))

    def predict(self, *given: Any) -> Tensor:
        raise AssertionError("a sharp face was sampled")


def changing_pipeline(change: Callable[[np.ndarray], np.ndarray] | None = None, *, sharp: bool = False) -> FacePipeline:
    """One stage of 64 pixels; sharp: with SE and a sampler that leaves sharp faces alone, otherwise without."""
    settings, device = RestorationSettings(temporal_radius=0), torch.device("cpu")
    table = StartingStepTable((0.01, 0.06), (300, 500), 0.05, SharpFaces.resolution, SharpFaces.schedule, "")
    sampler = Sampler(SharpFaces(), SharpFaces(), table) if sharp else None
    stage = Stage(StageConfig(64, "none", least_starting_step=1000), ChangingModel(change), sampler, settings, device)
    return FacePipeline((stage,), settings, device)


def checkered(crops: np.ndarray) -> np.ndarray:
    """A change that no one overlooks and that leaves the coarse colour, which follows the source, alone."""
    signs = np.indices(crops.shape[1:3]).sum(axis=0) // 4 % 2 * 2 - 1
    return np.clip(crops + 0.25 * signs[..., None].astype(np.float32), 0, 1).astype(np.float32)


class NoModels:
    """Of a job whose pipeline has no networks."""

    names = ()

    def digest(self) -> str:
        return "no models"


def stand_in(
    patch: Callable[[Any, str, Any], None],
    *,
    centre: tuple[float, float] | None,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    sharp: bool = False,
) -> None:
    """Put a face and a pipeline in the models' place. patch: what `monkeypatch.setattr` or `setattr` is."""
    face, pipeline = FoundFace(centre), changing_pipeline(change, sharp=sharp)
    patch(models, "FacePipeline", type("Stub", (), {"from_settings": staticmethod(lambda settings, **_: pipeline)}))
    patch(models, "LandmarkLocator", type("Stub", (), {"from_pretrained": staticmethod(lambda folder, device: face)}))
    patch(models, "make_detector", lambda settings, **models: face)
    patch(video_job, "find_models", lambda settings: NoModels())
