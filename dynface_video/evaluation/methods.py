"""The methods that are compared: the classical baselines, RM alone, and the full method at several strengths."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dynface_video.errors import InputError
from dynface_video.evaluation.baselines import classical_baselines
from dynface_video.evaluation.faces import DegradedFace

if TYPE_CHECKING:
    from dynface_video.diffusion.noise import NoiseKey
    from dynface_video.restorer import RestoredFaces

NOISE_SEED = 0
METHODS = (*classical_baselines(), "rm", "full")


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

    def with_strength(self, strength: float) -> Restorer:
        """The same models at another strength."""

    def restoration(self, crops: np.ndarray) -> np.ndarray:
        """RM alone, (B, R, R, 3) float32 in [0, 1]."""

    def estimate(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blur levels (B,) and confidences (B,)."""

    def starting_step(self, levels: np.ndarray) -> np.ndarray:
        """DSST, (B,) int."""

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
        return self.restorer.restoration(_stack(faces)), 0


@dataclass(frozen=True)
class FullMethod:
    """DBLM, DSST and guided sampling at the restorer's strength."""

    restorer: Restorer
    setting: str = ""

    @property
    def name(self) -> str:
        """Name in tables, with the strength."""
        return full_name(self.restorer.strength)

    def tuned(self, faces: Sequence[DegradedFace]) -> FullMethod:
        """Nothing to choose."""
        return self

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces and the U-Net evaluations spent on them."""
        from dynface_video.diffusion.noise import NoiseKey

        crops = _stack(faces)
        levels, _ = self.restorer.estimate(crops)
        # Noise by the face's name: a face gets the same in every batch and under every limit.
        keys = [NoiseKey(NOISE_SEED, zlib.crc32(face.clean.name.encode())) for face in faces]
        result = self.restorer.restore(crops, levels, self.restorer.starting_step(levels), keys)
        return result.images, result.unet_evaluations


def full_name(strength: float) -> str:
    """Name in tables of the full method at a strength."""
    return f"full {strength:g}"


def make_methods(names: Sequence[str], restorer: Restorer | None, strengths: Sequence[float] = ()) -> list[Method]:
    """The named methods; "full" stands for one at each of the strengths, or at the restorer's own.

    Raises InputError for an unknown name, or for a learned method without a restorer.
    """
    baselines = classical_baselines()
    methods: list[Method] = []
    for name in names:
        if name in baselines:
            methods.append(baselines[name])
        elif name not in METHODS:
            raise InputError(f"unknown method {name!r}; there are: {', '.join(METHODS)}")
        elif restorer is None:
            raise InputError(f"method {name!r} needs the models of a preset")
        elif name == "rm":
            methods.append(RestorationAlone(restorer))
        else:
            methods.extend(FullMethod(restorer.with_strength(s)) for s in strengths or [restorer.strength])
    return methods


def _stack(faces: Sequence[DegradedFace]) -> np.ndarray:
    return np.stack([face.image for face in faces])
