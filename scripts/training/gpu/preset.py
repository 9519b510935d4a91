"""The networks that a run trains, on the device: each task begins with what the tasks before it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from dynface_video import pretrained
from dynface_video.config import changed_settings, load_settings
from dynface_video.errors import ModelError
from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.registry import model_folder
from dynface_video.models.restoration import RestorationModel, reading_coarse
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Stage
from training.widening import widened

Model = TypeVar("Model", bound=pretrained.PretrainedModel)

COARSEST_CHANNELS, COARSEST_BLOCKS = (32, 64, 160, 256), (1, 2, 3, 5)
"""Of RM of 128 pixels: 9.5 million parameters. What was added works on few pixels, where a face is seen as a whole."""
FINE_CHANNELS, FINE_BLOCKS = (48, 96, 160, 256), (2, 3, 3, 4)
"""Of RM of 512 pixels: 9.2 million parameters, and three times the operations a pixel of the others."""


@dataclass(eq=False)
class PresetNetworks:
    """Frozen networks in evaluation mode; a finished task replaces its own.

    restoration, blur_level, prior, adjuster: of the coarsest stage; local_restoration: of that of 256 pixels;
    fine_restoration: of that of 512
    stage: the coarsest, for its starting-step table and settings
    """

    restoration: RestorationModel
    blur_level: BlurLevelEstimator
    prior: GuidedPrior
    adjuster: GuidanceAdjuster
    local_restoration: RestorationModel
    fine_restoration: RestorationModel
    stage: Stage

    @classmethod
    def load(cls, preset: str, device: torch.device) -> PresetNetworks:
        """The preset's networks; RM of the local stages and the map begin anew where its folder has none.

        RM of 512 pixels begins as that of 256 then, with more channels and blocks; that of 128 gets more if it has
        less.

        Raises ModelError when weights are missing, or the preset's coarsest stage does not sample.
        """
        settings = load_settings(preset, None, {"device": str(device)})
        # The preset may ask for the very map that is to be trained.
        settings = changed_settings(settings, {"restoration": {"guidance_map": "none"}})
        folder = model_folder(settings.models)
        stage = FacePipeline.from_settings(settings).stages[0]
        if stage.sampler is None:
            raise ModelError(f"{folder}: the coarsest stage has no sampler to train")
        restoration, blur_level, prior = stage.restoration, stage.sampler.blur_estimator, stage.sampler.prior
        assert isinstance(restoration, RestorationModel) and isinstance(blur_level, BlurLevelEstimator)
        assert isinstance(prior, GuidedPrior)
        restoration = _frozen(widened(restoration, COARSEST_CHANNELS, COARSEST_BLOCKS), device)

        def found_or(name: str, new: Model) -> Model:
            known = (folder / name).is_dir()
            return pretrained.load_pretrained(type(new), folder / name, device) if known else _frozen(new, device)

        local = found_or("local_restoration", reading_coarse(restoration))
        return cls(
            restoration,
            blur_level,
            prior,
            found_or("adjuster", GuidanceAdjuster()),
            local,
            found_or("fine_restoration", widened(local, FINE_CHANNELS, FINE_BLOCKS)),
            stage,
        )

    def save(self, name: str, folder: Path) -> None:
        """Write one network as a model folder, by the name of its attribute."""
        network = getattr(self, name)
        assert isinstance(network, pretrained.PretrainedModel)
        pretrained.save_pretrained(network, folder / name)


def _frozen(network: Model, device: torch.device) -> Model:
    frozen: Model = network.to(device).eval().requires_grad_(False)
    return frozen
