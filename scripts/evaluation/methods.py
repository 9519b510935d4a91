"""The methods that are compared: classical baselines, RM alone, the full method, and the full method less a part."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dynface_video.errors import InputError
from evaluation.baselines import classical_baselines
from evaluation.faces import DegradedFace
from evaluation.larger import crops_of, put_back
from evaluation.product import Product

if TYPE_CHECKING:
    from dynface_video.diffusion.noise import NoiseKey
    from dynface_video.pipeline import RestoredFaces

NOISE_SEED = 0
GRADIENT_SCALE = 4.0
VARIANTS: dict[str, dict[str, Any]] = {
    "unguided": {"guidance": "none"},
    "one_guide": {"guide_count": 1, "guidance_map": "none"},
    "three_guides": {"guide_count": 3, "guidance_map": "none"},
    "no_map": {"guidance_map": "none"},
    "sobel": {"guidance_map": "sobel"},
    "no_cascade": {"cascade": False},
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
        """The method as it is best for these faces; learned methods have nothing to choose and return themselves."""

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces (B, R, R, 3) float32 in [0, 1], and the U-Net evaluations spent on all of them."""


class Restorer(Protocol):
    """The part of `FaceRestorer` that the evaluation needs."""

    @property
    def resolution(self) -> int:
        """Side of the crops, pixels."""

    @property
    def strength(self) -> float:
        """Between 0, closest to the input, and 1, most invented."""

    def with_settings(self, **changes: Any) -> Restorer:
        """The same models under other settings, by the names of `RestorationSettings`."""

    def restoration(self, crops: np.ndarray) -> np.ndarray:
        """RM alone, (B, R, R, 3) float32 in [0, 1]."""

    def estimate(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blur levels (B,) and confidences (B,)."""

    def starting_step(self, levels: np.ndarray) -> np.ndarray:
        """DSST, (B,) int."""

    def source_detail_weight(self, levels: np.ndarray) -> np.ndarray:
        """Share of the source's detail above the crop's resolution that stays, (B,)."""

    def detail_weight(self, level: float, scale: float, source: np.ndarray) -> float:
        """Share of what the second stage draws that is added."""

    def detail(self, faces: np.ndarray, noise_keys: Sequence[NoiseKey]) -> tuple[np.ndarray, int]:
        """What the second stage draws, (B, 2 R, 2 R, 3), and its evaluations."""

    def restore(
        self, crops: np.ndarray, levels: np.ndarray, starting_steps: np.ndarray, noise_keys: Sequence[NoiseKey]
    ) -> RestoredFaces:
        """The full method."""


@dataclass(frozen=True)
class RestorationAlone:
    """RM without the diffusion prior."""

    restorer: Restorer
    name: str = "rm"
    setting: str = ""

    def tuned(self, faces: Sequence[DegradedFace]) -> RestorationAlone:
        """Nothing to choose."""
        return self

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """RM's estimates; no U-Net evaluations."""
        crops = crops_of(faces, self.restorer.resolution)
        levels, _ = self.restorer.estimate(crops)
        return put_back(self.restorer, faces, self.restorer.restoration(crops), levels, ())


@dataclass(frozen=True)
class FullMethod:
    """DBLM, DSST and guided sampling under the restorer's settings.

    fixed_step: every face starts there (DifFace's way) instead of at its own step of the table
    """

    restorer: Restorer
    name: str
    fixed_step: int | None = None
    setting: str = ""

    def tuned(self, faces: Sequence[DegradedFace]) -> FullMethod:
        """Nothing to choose."""
        return self

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces and the U-Net evaluations spent on them."""
        from dynface_video.diffusion.noise import NoiseKey

        crops = crops_of(faces, self.restorer.resolution)
        levels, _ = self.restorer.estimate(crops)
        steps = self.restorer.starting_step(levels)
        if self.fixed_step is not None:
            steps = np.full_like(steps, self.fixed_step)
        # Noise by the face's name: a face gets the same in every batch and under every limit.
        keys = [NoiseKey(NOISE_SEED, zlib.crc32(face.clean.name.encode())) for face in faces]
        result = self.restorer.restore(crops, levels, steps, keys)
        images, evaluations = put_back(self.restorer, faces, result.images, levels, keys)
        return images, result.unet_evaluations + evaluations


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

    strengths:   of "full" and "product"; empty for the restorer's own
    fixed_steps: starting steps for every face, scales: guidance scales for every place, a method each
    preset, device: of "product"
    """

    strengths: Sequence[float] = ()
    fixed_steps: Sequence[int] = ()
    scales: Sequence[float] = ()
    preset: str = "mini"
    device: str = "auto"


def make_methods(names: Sequence[str], restorer: Restorer | None, variants: Variants = Variants()) -> list[Method]:
    """The named methods, and the full method with fixed starting steps or global guidance scales in its place.

    "full" and "product" stand for one at each of the strengths.
    Raises InputError for an unknown name, or for a learned method without a restorer.
    """
    baselines = classical_baselines()
    methods: list[Method] = []
    for name in names:
        if name in baselines:
            methods.append(baselines[name])
        elif name not in ALL_METHODS:
            raise InputError(f"unknown method {name!r}; there are: {', '.join(ALL_METHODS)}")
        elif restorer is None:
            raise InputError(f"method {name!r} needs the models of a preset")
        elif name == "rm":
            methods.append(RestorationAlone(restorer))
        elif name == "full":
            with_settings = (restorer.with_settings(strength=s) for s in variants.strengths or [restorer.strength])
            methods.extend(FullMethod(r, full_name(r.strength)) for r in with_settings)
        elif name == "product":
            strengths = variants.strengths or [restorer.strength]
            methods.extend(Product(variants.preset, variants.device, s) for s in strengths)
        else:
            methods.append(FullMethod(restorer.with_settings(**VARIANTS[name]), name))
    if (variants.fixed_steps or variants.scales) and restorer is None:
        raise InputError("fixed starting steps and guidance scales need the models of a preset")
    if restorer is not None:
        methods.extend(FullMethod(restorer, step_name(step), step) for step in variants.fixed_steps)
        methods.extend(
            FullMethod(restorer.with_settings(guidance_map="none", guidance_scale=scale), scale_name(scale))
            for scale in variants.scales
        )
    return methods
