"""The networks that a run trains, on the device: each task begins with what the tasks before it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.modeling_utils import ModelMixin

from dynface_video import pretrained
from dynface_video.config import changed_settings, load_settings
from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.restoration import RestorationModel, reading_coarse
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Stage


@dataclass(eq=False)
class PresetNetworks:
    """Frozen networks in evaluation mode; a finished task replaces its own.

    restoration, blur_level, prior, adjuster: of the coarsest stage; local_restoration: RM of the stages above it
    stage: the coarsest, for its starting-step table and settings
    """

    restoration: RestorationModel
    local_restoration: RestorationModel
    blur_level: BlurLevelEstimator
    prior: GuidedPrior
    adjuster: GuidanceAdjuster
    stage: Stage

    @classmethod
    def load(cls, preset: str, device: torch.device) -> PresetNetworks:
        """The preset's networks; local RM and map begin anew where it has none.

        Raises ModelError when weights are missing, ValueError for a preset whose coarsest stage does not sample.
        """
        settings = changed_settings(
            load_settings(preset, None, {"device": str(device)}), {"restoration": {"guidance_map": "none"}}
        )
        stages = FacePipeline.from_settings(settings).stages
        coarsest, sampler = stages[0], stages[0].sampler
        if sampler is None:
            raise ValueError(f"the coarsest stage of {preset} has no sampler to train")
        parts = (coarsest.restoration, sampler.blur_estimator, sampler.prior)
        restoration, blur_level, prior = parts
        assert isinstance(restoration, RestorationModel) and isinstance(blur_level, BlurLevelEstimator)
        assert isinstance(prior, GuidedPrior)
        local = next((s.restoration for s in stages if s.restoration.reads_coarse), None)
        if not isinstance(local, RestorationModel):
            local = reading_coarse(restoration).to(device)
        adjuster = sampler.adjuster
        if not isinstance(adjuster, GuidanceAdjuster):
            adjuster = GuidanceAdjuster().to(device)
        return cls(restoration, local.eval(), blur_level, prior, adjuster.eval(), coarsest)

    def save(self, name: str, folder: Path) -> None:
        """Write one network as a model folder, by the name of its attribute."""
        network = getattr(self, name)
        assert isinstance(network, ModelMixin)
        pretrained.save_pretrained(network, folder / name)
