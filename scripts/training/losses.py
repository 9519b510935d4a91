"""What a restored face is compared with the clean one by when it has to be sharp, not only right in the mean.

All pictures are (B, 3, R, R) in [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.faces.colour import LUMINANCE
from teachers.identity import FaceRecognition, identity_distance, load_identity, shaken_square
from teachers.perceptual import SHARP_TAPS, EfficientNetLite0, load_perceptual, perceptual_distance
from training.degradation import STRENGTHS

PIXEL_BLUR = 0.8
"""Pixels: what is finer is left to the perceptual distance, since a mean of textures is a blur."""
COLOUR_BLUR = 3.0
PERIOD = 8
"""Pixels: the coarsest level of RM's U-Net but one."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of a loss.

    Attributes:
        pixel: L1 of both under a blur of `PIXEL_BLUR`.
        colour: L1 of all channels and of chroma under a blur of `COLOUR_BLUR`: features hardly know such shifts.
        chroma: L1 of Cb and Cr, without a blur: colour has no texture to lose.
        perceptual: Distance of features.
        knee: Distance of features from which on more of it counts ever less, so that a mild crop whose distance falls
            by a half counts nearly as much as a severe one; infinite where all distance counts alike.
        identity: Squared distance of embeddings, of whole crops.
        checkerboard: See `checkerboard_l1`: networks that shrink and enlarge in fixed blocks leave a faint weave, which
            the other parts hardly feel.
        adversarial: The generator's hinge loss.
    """

    pixel: float = 4.0
    colour: float = 2.0
    chroma: float = 0.0
    perceptual: float = 4.0
    identity: float = 0.5
    checkerboard: float = 0.0
    adversarial: float = 0.03
    knee: float = math.inf


@dataclass(frozen=True)
class FaceLosses:
    """The parts of the loss that frozen networks and low-pass filters measure."""

    perceptual: EfficientNetLite0
    identity: FaceRecognition
    weights: LossWeights = field(default_factory=LossWeights)

    @classmethod
    def from_folder(cls, folder: Path, weights: LossWeights, *, device: torch.device | str = "cpu") -> FaceLosses:
        """Load both networks from the teachers' folder; raises ModelError where they are missing."""
        return cls(load_perceptual(folder).to(device), load_identity(folder).to(device), weights)

    def reconstruction(self, restored: Tensor, clean: Tensor) -> Tensor:
        """The weighted sum over pixels, colour and features, a scalar; for whole crops and for patches."""
        w = self.weights
        loss = w.pixel * blurred_l1(restored, clean, PIXEL_BLUR)
        loss = loss + w.colour * colour_l1(restored, clean)
        if w.chroma:
            loss = loss + w.chroma * chroma_l1(restored, clean)
        if w.checkerboard:
            loss = loss + w.checkerboard * checkerboard_l1(restored, clean)
        distance = perceptual_distance(self.perceptual, restored, clean, SHARP_TAPS)
        if math.isfinite(w.knee):
            distance = w.knee * torch.log1p(distance / w.knee)
        return loss + w.perceptual * distance.mean()

    def same_person(self, restored: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The weighted identity loss of whole aligned crops, a scalar; both mirrored and moved alike at random."""
        if torch.rand((), generator=generator, device=generator.device) < 0.5:
            restored, clean = restored.flip(-1), clean.flip(-1)
        distance = identity_distance(self.identity, restored, clean, shaken_square(generator))
        return self.weights.identity * distance.square().mean()


def inside_picture(restored: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    """The restored crop where it shows the picture, and the clean one where the crop was mirrored.

    No loss then counts anything outside the picture, those of features included.

    Args:
        restored: (B, 3, R, R).
        clean: (B, 3, R, R).
        mask: (B, 1, R, R), 1 inside the picture and 0 outside.
    """
    return torch.lerp(clean, restored, mask)


def blurred_l1(first: Tensor, second: Tensor, std: float) -> Tensor:
    """Mean absolute difference of two pictures under a Gaussian blur; std: in pixels."""
    difference = first.float() - second.float()
    return gaussian_blur(difference, torch.full((1,), std, device=first.device)).abs().mean()


def colour_l1(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of what is coarser than `COLOUR_BLUR`, and of its chroma once more."""
    level = torch.full((1,), COLOUR_BLUR, device=first.device)
    difference = gaussian_blur(first.float() - second.float(), level)
    luminance = torch.einsum("bchw,c->bhw", difference, torch.from_numpy(LUMINANCE).to(difference))[:, None]
    return difference.abs().mean() + (difference - luminance).abs().mean()


def chroma_l1(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of Cb and Cr (BT.601), on the scale of [-1, 1]."""
    difference = first.float() - second.float()
    luminance = torch.einsum("bchw,c->bhw", difference, torch.from_numpy(LUMINANCE).to(difference))
    return ((difference[:, 2] - luminance).abs() / 1.772 + (difference[:, 0] - luminance).abs() / 1.402).mean() / 2


def checkerboard_l1(restored: Tensor, clean: Tensor) -> Tensor:
    """What of a difference repeats every `PERIOD` pixels: the mean absolute value of its mean over all such tiles.

    What varies more slowly than a tile is taken off first. The error of a face that has no such weave averages out over
    the tiles.

    Args:
        restored: (B, 3, R, R), R a multiple of `PERIOD`.
        clean: The same.
    """
    difference = restored.float() - clean.float()
    slow = functional.avg_pool2d(difference, PERIOD + 1, 1, PERIOD // 2, count_include_pad=False)
    tiles = (difference - slow).unflatten(3, (-1, PERIOD)).unflatten(2, (-1, PERIOD))  # (B, 3, r, P, r, P)
    return tiles.mean(dim=(2, 4)).abs().mean()


def scores_by_strength(faces: Tensor, clean: Tensor, losses: FaceLosses) -> dict[str, float]:
    """Measures of held-out faces whose strengths of degradation take turns.

    Returns:
        By measure and strength: PSNR in dB, perceptual and identity distance, `checkerboard_l1` in levels of 255.
    """
    faces = faces.clamp(-1, 1)
    pairs = zip(faces.split(1), clean.split(1), strict=True)
    measures = {
        "psnr": 10 * torch.log10(4 / (faces - clean).square().mean(dim=(1, 2, 3))),
        "perceptual": perceptual_distance(losses.perceptual, faces, clean),
        "identity": identity_distance(losses.identity, faces, clean),
        "checkerboard": 127.5 * torch.stack([checkerboard_l1(a, b) for a, b in pairs]),
    }
    return {
        f"{name}_{strength}": float(values[k :: len(STRENGTHS)].mean())
        for k, strength in enumerate(STRENGTHS)
        for name, values in measures.items()
    }
