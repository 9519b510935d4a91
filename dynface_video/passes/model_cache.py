"""The networks of a process, kept from video to video: settings change, weights need not be loaded again."""

from __future__ import annotations

import threading
from dataclasses import replace

from dynface_video.config import Settings
from dynface_video.passes.networks import Models, load_finders, load_identifier, load_models, load_parser
from dynface_video.precision import resolve_precision
from dynface_video.stage_loading import chosen_networks, find_models


class ModelCache:
    """Loads networks once for each choice of models, device and arithmetic, and adapts them to each video's settings.

    Several threads may use one cache. What it holds stays in memory, and in that of a GPU, until `clear`.
    """

    def __init__(self) -> None:
        self._loaded: dict[tuple[object, ...], tuple[Settings, Models]] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget the networks."""
        with self._lock:
            self._loaded.clear()

    def get(self, settings: Settings) -> Models:
        """The models under some settings.

        Args:
            settings: Of a video.

        Raises:
            ModelError: Weights are missing.
        """
        with self._lock:
            return self._adapted(settings)

    def _adapted(self, settings: Settings) -> Models:
        execution, precision = settings.execution, resolve_precision(settings.execution)
        key = (
            settings.models,
            execution.device,
            precision,
            execution.cuda_graphs,
            *chosen_networks(settings.restoration),
        )
        if key not in self._loaded:
            self._loaded[key] = (settings, load_models(settings))
        before, models = self._loaded[key]
        if before.restoration != settings.restoration:
            models = replace(models, pipeline=models.pipeline.with_settings(**settings.restoration.model_dump()))
        if before.detection != settings.detection:
            # Small networks, whose kind depends on the settings: only the pipeline is worth keeping.
            locator, detector = load_finders(settings, models.pipeline.device)
            # An aligned picture is already a crop, so its scale differs.
            pipeline = replace(models.pipeline, crop_scale=find_models(settings).crop_scale)
            models = replace(models, pipeline=pipeline, locator=locator, detector=detector)
        if before.detection.identity != settings.detection.identity:
            models = replace(models, identifier=load_identifier(settings, models.pipeline.device))
        if before.restoration.paste_mask != settings.restoration.paste_mask:
            models = replace(models, parser=load_parser(settings, models.pipeline.device))
        self._loaded[key] = (settings, models)
        return models
