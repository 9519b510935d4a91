"""The methods that are compared: classical baselines, RM alone, the full method, and the full method less a part."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import InputError
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.pipeline import FacePipeline
from evaluation.baselines import classical_baselines
from evaluation.faces import DegradedFace
from evaluation.product import Product
from evaluation.staged_crops import StagedCrops

NOISE_SEED = 0
GRADIENT_SCALE = 4.0
VARIANTS: dict[str, dict[str, Any]] = {
    "unguided": {"guidance": "none"},
    "one_guide": {"guide_count": 1, "guidance_map": "none"},
    "three_guides": {"guide_count": 3, "guidance_map": "none"},
    "no_map": {"guidance_map": "none"},
    "sobel": {"guidance_map": "sobel"},
    "first_stage": {"resolution": 128},
    "gradient": {
        "guidance": "gradient",
        "guide_count": 1,
        "guidance_map": "none",
        "num_inference_steps": 1000,
        "guidance_scale": GRADIENT_SCALE,
    },
}
"""Changes of the settings that take one part of the method away or put another in its place."""
METHODS = (*classical_baselines(), "rm", "full")
ALL_METHODS = (*METHODS, "product", *VARIANTS)
LEARNED = {"rm", "full", "product", *VARIANTS}


class Method(Protocol):
    """What the evaluation measures."""

    @property
    def name(self) -> str:
        """Its name in tables."""

    @property
    def setting(self) -> str:
        """What was chosen for the strength at hand, in words."""

    def tuned(self, faces: Sequence[DegradedFace]) -> Method:
        """The method with the best parameters for these faces; learned methods have none and return themselves."""

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces (B, R, R, 3) float32 in [0, 1], and the U-Net evaluations spent on all of them."""


@dataclass(frozen=True)
class RestorationAlone:
    """RM of every stage, without the diffusion prior."""

    pipeline: FacePipeline
    name: str = "rm"
    setting: str = ""

    def tuned(self, faces: Sequence[DegradedFace]) -> RestorationAlone:
        """Nothing to choose."""
        return self

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """RM's estimates; no U-Net evaluations."""
        crops = StagedCrops.of(faces, self.pipeline)
        estimate: torch.Tensor | None = None
        for stage, own in zip(crops.stages, crops.crops, strict=True):
            coarse = None if estimate is None else enlarge_coarse(2 * estimate - 1, stage.resolution) / 2 + 0.5
            estimate = stage.self_ensemble(stage.regress(own, coarse), own, coarse)
        assert estimate is not None
        return crops.put_back(estimate), 0


@dataclass(frozen=True)
class FullMethod:
    """DBLM, DSST and guided sampling at every stage, under the pipeline's settings.

    fixed_step: every face starts there (DifFace's way) instead of at its own step of the table
    """

    pipeline: FacePipeline
    name: str
    fixed_step: int | None = None
    setting: str = ""

    def tuned(self, faces: Sequence[DegradedFace]) -> FullMethod:
        """Nothing to choose."""
        return self

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces and the U-Net evaluations spent on them."""
        crops = StagedCrops.of(faces, self.pipeline)
        # Noise by the face's name: a face gets the same in every batch and under every limit.
        keys = [NoiseKey(NOISE_SEED, zlib.crc32(face.clean.name.encode())) for face in faces]
        result = self.pipeline.restore_crops(crops.stages, crops.crops, keys, starting_step=self.fixed_step)
        return crops.put_back(result.faces), result.unet_evaluations


def full_name(strength: float) -> str:
    """Name in tables of the full method at a strength."""
    return f"full {strength:g}"


def step_name(step: int) -> str:
    """Name in tables of the method that starts every face at one step."""
    return f"step {step}"


def is_full_name(name: str) -> bool:
    """Whether `full_name` made it."""
    return name.startswith("full ")


def is_step_name(name: str) -> bool:
    """Whether `step_name` made it."""
    return name.startswith("step ")


def scale_name(scale: float) -> str:
    """Name in tables of the method with one guidance scale everywhere, in place of DGSA's map."""
    return f"scale {scale:g}"


def is_scale_name(name: str) -> bool:
    """Whether `scale_name` made it."""
    return name.startswith("scale ")


@dataclass(frozen=True)
class Variants:
    """Under which settings the learned methods are measured.

    strengths:   of "full" and "product"; empty for the pipeline's own
    fixed_steps: starting steps for every face, scales: guidance scales for every place, a method each
    preset, device, largest_stage: of "product"
    """

    strengths: Sequence[float] = ()
    fixed_steps: Sequence[int] = ()
    scales: Sequence[float] = ()
    preset: str = "mini"
    device: str = "auto"
    largest_stage: int | None = None


def make_methods(names: Sequence[str], pipeline: FacePipeline | None, variants: Variants = Variants()) -> list[Method]:
    """The named methods, and the full method with fixed starting steps or global guidance scales in its place.

    "full" and "product" stand for one at each of the strengths. All treat faces as pictures are treated.
    Raises InputError for an unknown name, or for a learned method without a pipeline.
    """
    baselines = classical_baselines()
    pipeline = None if pipeline is None else pipeline.for_pictures()
    methods: list[Method] = []
    for name in names:
        if name in baselines:
            methods.append(baselines[name])
        elif name not in ALL_METHODS:
            raise InputError(f"unknown method {name!r}; there are: {', '.join(ALL_METHODS)}")
        elif pipeline is None:
            raise InputError(f"method {name!r} needs the models of a preset")
        elif name == "rm":
            methods.append(RestorationAlone(pipeline))
        elif name == "full":
            with_settings = (
                pipeline.with_settings(strength=s) for s in variants.strengths or [pipeline.settings.strength]
            )
            methods.extend(FullMethod(r, full_name(r.settings.strength)) for r in with_settings)
        elif name == "product":
            strengths = variants.strengths or [pipeline.settings.strength]
            methods.extend(Product(variants.preset, variants.device, s, variants.largest_stage) for s in strengths)
        else:
            methods.append(FullMethod(pipeline.with_settings(**VARIANTS[name]), name))
    if (variants.fixed_steps or variants.scales) and pipeline is None:
        raise InputError("fixed starting steps and guidance scales need the models of a preset")
    if pipeline is not None:
        methods.extend(FullMethod(pipeline, step_name(step), step) for step in variants.fixed_steps)
        methods.extend(
            FullMethod(pipeline.with_settings(guidance_map="none", guidance_scale=scale), scale_name(scale))
            for scale in variants.scales
        )
    return methods
