"""The guidance maps as pictures: where the guide is obeyed (light) and where the prior may invent (dark)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dynface_video.diffusion.engine import GuidedStep
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FacePipeline, to_array
from evaluation.contact_sheet import choose_people
from evaluation.faces import DegradedFace
from evaluation.staged_crops import StagedCrops

PEOPLE = 3
STEPS = 4


def map_sheet(pipeline: FacePipeline, faces: Mapping[str, Sequence[DegradedFace]]) -> np.ndarray:
    """For a few people at every strength: degraded, the map at `STEPS` steps from noisy to clear, and the result.

    Returns (H, W, 3) uint8 RGB.
    """
    rows = []
    for degraded in faces.values():
        for position in choose_people([face.clean for face in degraded], PEOPLE):
            rows.append(_row(pipeline, degraded[position]))
    return np.concatenate(rows)


def with_map(pipeline: FacePipeline) -> FacePipeline:
    """The pipeline with its guidance map; where its settings use none, with the one it could use."""
    if pipeline.settings.guidance_map != "none":
        return pipeline
    sampler = pipeline.stages[0].sampler
    trained = sampler is not None and sampler.adjuster is not None
    return pipeline.with_settings(guidance_map="trained" if trained else "sobel")


def _row(pipeline: FacePipeline, face: DegradedFace) -> np.ndarray:
    """The first stage's maps."""
    seen: list[GuidedStep] = []
    crops = StagedCrops.of([face], pipeline.with_settings(resolution=pipeline.resolution))
    result = pipeline.restore_crops(crops.stages, crops.crops, [NoiseKey(0, 0)], on_step=seen.append)
    crop, restored = to_array(crops.crops[0])[0], to_array(result.faces)[0]
    maps = [step.map[0, 0].cpu().numpy() for step in seen] or [np.ones(crop.shape[:2], np.float32)]
    chosen = [maps[round(k * (len(maps) - 1) / (STEPS - 1))] for k in range(STEPS)]
    pictures = [crop, *(np.repeat(one[..., None], 3, axis=2) for one in chosen), restored]
    return np.concatenate([np.rint(np.clip(p, 0, 1) * 255).astype(np.uint8) for p in pictures], axis=1)
