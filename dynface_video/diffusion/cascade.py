"""The second stage of a cascade (Ho et al. 2022, arXiv 2106.15282): the octave above the first stage's faces.

A crop of R pixels is the crop of 2 R pixels of the same face under a *known* Gaussian blur: the low-pass that sampling
it goes through (`faces.align.low_pass_std`). Nothing has to be estimated here, and the method is the first
stage's: a guide of known level, its starting step, guided sampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dynface_video.diffusion.dct import dct2, gaussian_transfer, idct2
from dynface_video.diffusion.engine import FaceJob, SamplingEngine, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.faces.colour import LUMINANCE
from dynface_video.models.prior import GuidedPrior, load_prior

FOLDER, TABLE = "fine_prior", "fine_starting_steps.json"
OWN_LEVEL = 0.95
"""Blur of a face of R pixels, in pixels at 2 R: of the low-pass 0.87, the rest of linear interpolation."""
MADE_SOFTER = 0.75
"""Blur of the guide beyond that, pixels at 2 R: the finest of what the first stage drew is its own invention."""
TOP_OCTAVE = (0.05, 0.13)
"""Power of the finest octave over that of the one below up to which it counts as missing, and from which on as there.
Of 100 held-out portraits of 256 pixels 95 in 100 have more than 0.18; enlarged from 128 pixels the median has 0.08."""
SMALLEST_BAND = 0.6
"""Share of the upper frequencies that a frame must be able to hold for what it lacks there to be told."""
GUIDANCE = SamplingOptions(evaluations=3, temperature=0.7)
"""Full guidance in closed form, whatever the first stage's is. Video has less of the finest octave than the portraits
that the prior has learned from: it begins with less noise."""


@dataclass(frozen=True)
class Cascade:
    """prior: at 2 R; starting_steps: built for it."""

    prior: GuidedPrior
    starting_steps: StartingStepTable

    def draw(self, estimates: Tensor, keys: Sequence[NoiseKey], *, batch_size: int) -> tuple[Tensor, int]:
        """Faces as `enlarged` gives them, (B, 3, 2 R, 2 R) in [-1, 1], with their detail, and the evaluations spent."""
        level = math.hypot(OWN_LEVEL, MADE_SOFTER)
        start = int(self.starting_steps.lookup(level))
        options = replace(GUIDANCE, reference_step=max(start, 1), slots=batch_size)
        engine = SamplingEngine(self.prior, options, estimates.device)
        drawn = torch.empty_like(estimates)
        jobs = (FaceJob(i, estimates[i], (Guide(level, start),), start, key) for i, key in enumerate(keys))
        for number, face in engine.run(jobs):
            drawn[number] = face
        return drawn, engine.evaluations


def octave_missing(picture: np.ndarray, scale: float = 0.5) -> float:
    """How far an aligned face (N, N, 3) in [0, 1] lacks the finest octave that its pixels could hold, in [0, 1].

    scale: pixels of half the resolution for one of the frame that the face was cut from. A frame that is coarser than
    the face's pixels holds a part of the octave only, and only that is looked at; where it is a small part, nothing is
    said to be missing. Faces that were enlarged, or are a little blurred, have next to nothing there; noise counts as
    detail.
    """
    held = min(1.0, 0.5 / scale)
    if held < SMALLEST_BAND:
        return 0.0
    size = picture.shape[0]
    luminance = picture @ LUMINANCE
    window = np.outer(np.hanning(size), np.hanning(size)).astype(np.float32)
    power = dct2(torch.from_numpy((luminance - luminance.mean()) * window).float()).square().numpy()
    place = np.arange(size) / size
    radius = np.hypot(place[:, None], place[None, :])
    # Frequencies in proportion, so that faces of all sizes are measured by what their frames can hold.
    finest, below = (power[(radius >= low * held) & (radius < 2 * low * held)].sum() for low in (0.5, 0.25))
    missing, there = TOP_OCTAVE
    return float(np.clip((there - finest / max(float(below), 1e-9)) / (there - missing), 0, 1))


def enlarged(faces: Tensor) -> Tensor:
    """Faces (B, C, R, R) at twice the resolution, (B, C, 2 R, 2 R), without the blur of `OWN_LEVEL`.

    In the DCT basis, where the pixel centres of both grids agree: what the small grid cannot hold is zero, the rest is
    divided by what the blur left of it.
    """
    size = faces.shape[-1]
    level = torch.full((1,), OWN_LEVEL, device=faces.device)
    whole = faces.new_zeros(*faces.shape[:2], 2 * size, 2 * size, dtype=torch.float32)
    whole[..., :size, :size] = 2 * dct2(faces.float()) / gaussian_transfer(level, 2 * size)[..., :size, :size]
    return idct2(whole)


def load_cascade(folder: Path, *, device: torch.device) -> Cascade | None:
    """The cascade of a model folder, or None where it has none.

    Raises ModelError for weights or a table that do not fit.
    """
    if not (folder / FOLDER).is_dir():
        return None
    prior, table = load_prior(folder / FOLDER, device=device), StartingStepTable.load(folder / TABLE)
    table.check_fits(prior.resolution, prior.schedule)
    return Cascade(prior, table)
