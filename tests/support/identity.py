"""Stands in for the models: a face that is always at the same place, and a restorer that changes nothing or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynface_video.config import RestorationSettings
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks
from dynface_video.jobs import video_job
from dynface_video.passes import networks as models
from dynface_video.pipeline import RestoredFaces

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
class StandIn:
    """A restorer that gives crops back as they are, or what `change` makes of them."""

    change: Callable[[np.ndarray], np.ndarray] | None = None
    resolution: int = 64
    device: str = "cpu"

    window_radius: int = 0
    has_cascade: bool = False
    settings: RestorationSettings = field(default_factory=lambda: RestorationSettings(temporal_radius=0))

    def estimate(self, crops: np.ndarray, windows: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(crops), 0.1), np.ones(len(crops))

    def starting_step(self, levels: np.ndarray) -> np.ndarray:
        return np.zeros(len(levels), np.int64)

    def source_detail_weight(self, levels: np.ndarray) -> np.ndarray:
        return np.ones(len(levels))

    def max_detail_weight(self, scale: float) -> float:
        return 0.0

    def restoration(self, crops: np.ndarray, windows: Sequence[np.ndarray] = ()) -> np.ndarray:
        return crops

    def sample(self, crops: np.ndarray, levels: np.ndarray, steps: np.ndarray, keys: Sequence[Any]) -> RestoredFaces:
        return RestoredFaces(crops if self.change is None else self.change(crops), 0)


def checkered(crops: np.ndarray) -> np.ndarray:
    """A change that no one overlooks and that leaves the coarse colour, which follows the source, alone."""
    signs = np.indices(crops.shape[1:3]).sum(axis=0) // 4 % 2 * 2 - 1
    return np.clip(crops + 0.25 * signs[..., None].astype(np.float32), 0, 1).astype(np.float32)


def stand_in(
    patch: Callable[[Any, str, Any], None],
    *,
    centre: tuple[float, float] | None,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Put a face and a restorer in the models' place. patch: what `monkeypatch.setattr` or `setattr` is."""
    face, restorer = FoundFace(centre), StandIn(change)
    patch(models, "FaceRestorer", type("Stub", (), {"from_settings": staticmethod(lambda settings: restorer)}))
    patch(models, "LandmarkLocator", type("Stub", (), {"from_pretrained": staticmethod(lambda folder, device: face)}))
    patch(models, "make_detector", lambda settings, **models: face)
    patch(video_job, "folder_digest", lambda folder: "no models")
