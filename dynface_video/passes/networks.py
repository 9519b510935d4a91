"""The models of a job, loaded once per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynface_video.config import Settings
from dynface_video.faces.detection.aligned import AlignedFaces
from dynface_video.faces.detection.detector import FaceDetector, FaceLocator
from dynface_video.faces.detection.factory import make_detector
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.media.io.probe import VideoInfo
from dynface_video.models.registry import model_folder
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.analyze import analyze
from dynface_video.pipeline import FacePipeline


@dataclass(frozen=True)
class Models:
    """What finds and restores faces."""

    pipeline: FacePipeline
    locator: FaceLocator
    detector: FaceDetector


def load_models(settings: Settings) -> Models:
    """Load the models that the settings name; raises ModelError where they are missing."""
    pipeline = FacePipeline.from_settings(settings)
    if settings.detection.aligned:
        return Models(pipeline, AlignedFaces(), AlignedFaces())
    folder = model_folder(settings.models)
    locator = LandmarkLocator.from_pretrained(folder / "landmarks", pipeline.device)
    detector = make_detector(settings.detection, models=folder, locator=locator, device=pipeline.device)
    return Models(pipeline, locator, detector)


def analyze_with(models: Models, info: VideoInfo, settings: Settings, on_frame: Callable[[int], None]) -> Analysis:
    """The first pass over a video; on_frame is told how many frames are done."""
    return analyze(info, models.detector, models.locator, models.pipeline, settings, on_frame=on_frame)
