"""The guidance maps as pictures: where the guide is obeyed (light) and where the prior may invent (dark)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dynface_video.diffusion.engine import GuidedStep
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FaceRestorer
from evaluation.contact_sheet import choose_people
from evaluation.faces import DegradedFace

PEOPLE = 3
STEPS = 4


def map_sheet(restorer: FaceRestorer, faces: Mapping[str, Sequence[DegradedFace]]) -> np.ndarray:
    """For a few people at every strength: degraded, the map at `STEPS` steps from noisy to clear, and the result.

    Returns (H, W, 3) uint8 RGB.
    """
    rows = []
    for degraded in faces.values():
        for position in choose_people([face.clean for face in degraded], PEOPLE):
            rows.append(_row(restorer, degraded[position].image))
    return np.concatenate(rows)


def with_map(restorer: FaceRestorer) -> FaceRestorer:
    """The restorer with its guidance map; where its settings use none, with the one it could use."""
    if restorer.settings.guidance_map != "none":
        return restorer
    return restorer.with_settings(guidance_map="sobel" if restorer.adjuster is None else "trained")


def _row(restorer: FaceRestorer, crop: np.ndarray) -> np.ndarray:
    seen: list[GuidedStep] = []
    levels, _ = restorer.estimate(crop[None])
    starts = restorer.starting_step(levels)
    result = restorer.restore(crop[None], levels, starts, [NoiseKey(0, 0)], on_step=seen.append).images[0]
    maps = [step.map[0, 0].cpu().numpy() for step in seen] or [np.ones(crop.shape[:2], np.float32)]
    chosen = [maps[round(k * (len(maps) - 1) / (STEPS - 1))] for k in range(STEPS)]
    pictures = [crop, *(np.repeat(one[..., None], 3, axis=2) for one in chosen), result]
    return np.concatenate([np.rint(np.clip(p, 0, 1) * 255).astype(np.uint8) for p in pictures], axis=1)
