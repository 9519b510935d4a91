"""Training of SE for a local stage: the level down to which RM of 256 pixels can be trusted."""

from __future__ import annotations

import numpy as np

from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.restoration import RestorationModel
from training.blur_level import BlurLevelTraining
from training.local_restoration import LocalRestorationTraining
from training.loop import Batch

RESOLUTION = 256


class LocalBlurLevelTraining(BlurLevelTraining):
    """A `Component` that trains SE on what RM of a local stage leaves behind, on whole crops; RM is frozen.

    Args:
        faces: Degraded crops of 256 pixels with the coarser faces that RM reads beside them.
        model: RM of the local stages.
        network: An SE whose configuration is that of the one to train.
    """

    name = "local_blur_level"

    def __init__(self, faces: LocalRestorationTraining, model: RestorationModel, network: BlurLevelEstimator) -> None:
        self.faces, self.restoration, self.network = faces, model, network

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Degraded crops, RM's estimates, and the levels by the truth; see `BlurLevelTraining.batch`."""
        crops = [self.faces.crop(rng, RESOLUTION, held_out=held_out) for _ in range(size)]
        return self._read(self.faces.whole_crops(crops, rng))
