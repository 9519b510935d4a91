"""The networks of a process, kept from video to video: settings change, weights need not be loaded again."""

from __future__ import annotations

from dataclasses import replace

from dynface_video.config import Settings
from dynface_video.faces.detection.factory import make_detector
from dynface_video.models.registry import model_folder
from dynface_video.passes.networks import Models, load_models


class ModelCache:
    """Loads networks once for each set of models and device, and adapts them to the settings of each video."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], tuple[Settings, Models]] = {}

    def get(self, settings: Settings) -> Models:
        """The models under some settings.

        Args:
            settings: Of a video.

        Raises:
            ModelError: Weights are missing.
        """
        key = (settings.models, settings.execution.device)
        if key not in self._loaded:
            self._loaded[key] = (settings, load_models(settings))
        before, models = self._loaded[key]
        if before.restoration != settings.restoration:
            models = replace(models, pipeline=models.pipeline.with_settings(**settings.restoration.model_dump()))
        if before.detection != settings.detection:
            detector = make_detector(
                settings.detection,
                models=model_folder(settings.models),
                locator=models.locator,
                device=models.pipeline.device,
            )
            models = replace(models, detector=detector)
        self._loaded[key] = (settings, models)
        return models
