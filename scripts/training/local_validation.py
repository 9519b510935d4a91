"""Scores of the local stages on whole held-out training faces at 256 and 512 pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.faces.align import sample, scaling
from dynface_video.models.restoration import enlarge_coarse
from teachers.identity import identity_distance
from teachers.perceptual import perceptual_distance
from training.data import FaceSet
from training.degradation import LARGE_FACE_STRENGTHS, degrade
from training.losses import FaceLosses, checkerboard_l1

SKIN = ((208, 112, 96, 64), (120, 288, 56, 56), (336, 288, 56, 56))
"""Forehead and cheeks in a crop of 512 pixels: left, top, width, height."""
SKIN_BLUR = 1.5
"""Pixels: what is finer counts as roughness."""


@dataclass
class Sheet:
    """One held-out face at one strength; all pictures (1, 3, R, R) in [-1, 1].

    Attributes:
        strength: One of `LARGE_FACE_STRENGTHS`.
        clean: By R, 256 and 512.
        results: By name and R: "input", "rm128" (RM of 128 enlarged), and "rm" of the stages that were run.
        coarse: What RM makes at 128 pixels.
    """

    strength: str
    clean: dict[int, Tensor]
    coarse: Tensor
    results: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def restore(self, networks: Sequence[nn.Module]) -> None:
        """Run the stages of 256 and 512, or the first alone, each on the result of the one below."""
        coarse = self.coarse
        for size, network in zip((256, 512), networks, strict=False):
            made = network(self.results["input", size], enlarge_coarse(coarse, size))
            coarse = self.results["rm", size] = made.float().clamp(-1, 1)


@torch.no_grad()
def held_out_sheets(faces: FaceSet, coarse: nn.Module, count: int, rng: np.random.Generator) -> list[Sheet]:
    """The first `count` held-out faces of 512 pixels, each at every strength; coarse: RM of 128 pixels."""
    sheets = []
    for index in faces.indices(held_out=True)[:count]:
        clean = faces.images[index].astype(np.float32) / 255
        targets = {512: _tensor(clean), 256: _tensor(cv2.resize(clean, (256, 256), interpolation=cv2.INTER_AREA))}
        for strength, degradation in LARGE_FACE_STRENGTHS.items():
            source = degrade(clean, degradation, rng)
            estimate = coarse(_tensor(reduced(source, 128))).clamp(-1, 1)
            sheet = Sheet(strength, targets, estimate)
            for size in (256, 512):
                sheet.results["input", size] = _tensor(source if size == 512 else reduced(source, size))
                sheet.results["rm128", size] = enlarge_coarse(estimate, size)
            sheets.append(sheet)
    return sheets


@torch.no_grad()
def sheet_scores(sheets: list[Sheet], losses: FaceLosses, name: str) -> dict[str, float]:
    """Means over the faces, by strength and resolution; name: the results that are scored."""
    measures: dict[str, Callable[[Tensor, Tensor], float]] = {
        "psnr": lambda a, b: float(10 * torch.log10(4 / (a - b).square().mean())),
        "perceptual": lambda a, b: float(perceptual_distance(losses.perceptual, a, b)),
        "identity": lambda a, b: float(identity_distance(losses.identity, a, b)),
        "checkerboard": lambda a, b: 127.5 * float(checkerboard_l1(a, b)),
        "skin": lambda a, b: skin_roughness(a) / max(skin_roughness(b), 1e-6),
    }
    found: dict[str, list[float]] = {}
    for sheet in sheets:
        for size, clean in sheet.clean.items():
            if (name, size) not in sheet.results:
                continue
            for measure, function in measures.items():
                key = f"{name}_{measure}_{size}_{sheet.strength}"
                found.setdefault(key, []).append(function(sheet.results[name, size], clean))
    return {key: float(np.mean(values)) for key, values in found.items()}


def skin_roughness(face: Tensor) -> float:
    """Standard deviation of what is finer than `SKIN_BLUR` on forehead and cheeks; (1, 3, R, R) in [-1, 1]."""
    luminance = face[0].mean(dim=0).numpy()
    fine = luminance - cv2.GaussianBlur(luminance, (0, 0), SKIN_BLUR)
    unit = face.shape[-1] / 512
    parts = [[round(v * unit) for v in part] for part in SKIN]
    return float(np.sqrt(np.mean([np.square(fine[y : y + h, x : x + w]).mean() for x, y, w, h in parts])))


def reduced(crop: np.ndarray, size: int) -> np.ndarray:
    """A crop (R, R, 3) as the pipeline samples the same face at a half or a quarter of R, (size, size, 3)."""
    return np.clip(sample(crop, scaling(size, crop.shape[0]), (size, size), cv2.BORDER_REFLECT_101), 0, 1)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None] * 2 - 1
