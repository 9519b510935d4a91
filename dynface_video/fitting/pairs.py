"""What SE and the guidance map learn from: clean crops, degraded, and what an RM makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dynface_video.errors import InputError
from dynface_video.fitting.degradation import damaged, random_damage
from dynface_video.models.blur_level import trusted_level
from dynface_video.models.protocols import Regression

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
LEAST_CROPS = 16
HELD_OUT = 8
"""One crop in so many is not trained on, but measured."""

Regress = Callable[[Tensor], Regression]
"""RM: degraded crops, (B, 3, R, R) in [-1, 1], to what it makes of them."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Crops and what an RM made of them, (N, 3, R, R) float16 in [-1, 1] each.

    Attributes:
        clean: The crops.
        evidence: What RM started from.
        estimate: RM's estimate, clipped.
        level: The relative blur level by the truth, (N,) float32.
        held_out: Which pairs are of crops that are not trained on, (N,) bool.
    """

    clean: Tensor
    evidence: Tensor
    estimate: Tensor
    level: Tensor
    held_out: Tensor

    def __len__(self) -> int:
        return len(self.level)


def crop_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name.

    Raises:
        InputError: It is not a folder, or holds fewer than `LEAST_CROPS` pictures.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder of aligned face crops")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(files) < LEAST_CROPS:
        raise InputError(f"{folder}: {len(files)} pictures; at least {LEAST_CROPS} aligned face crops are needed")
    return files


def read_crop(path: Path, size: int) -> np.ndarray:
    """A clean crop, (size, size, 3) float32 in [0, 1].

    Raises:
        InputError: It cannot be read, is not square, or is smaller than `size`: it would teach that faces are soft.
    """
    levels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if levels is None:
        raise InputError(f"{path}: cannot be read as a picture")
    height, width = levels.shape[:2]
    if height != width:
        raise InputError(f"{path}: {width} x {height} pixels; an aligned face crop is square")
    if height < size:
        raise InputError(f"{path}: {width} x {height} pixels; sharp crops of at least {size} pixels are needed")
    if height > size:
        levels = cv2.resize(levels, (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(levels[:, :, ::-1], np.float32) / 255


def make_pairs(
    files: Sequence[Path],
    regress: Regress,
    size: int,
    *,
    rounds: int = 1,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_crop: Callable[[int, int], None] | None = None,
) -> Pairs:
    """Degrade each crop at random and let RM restore it.

    Args:
        files: Of the crops.
        regress: RM.
        size: R.
        rounds: How often each crop is degraded, each time in another way.
        seed: Of the degradations; each crop's depends on its position alone.
        device: Of RM.
        on_crop: Called with the number of pairs made and wanted.
    """
    made = list[tuple[Tensor, Tensor, Tensor, Tensor]]()
    for clean, degraded in _degraded(files, size, rounds, seed):
        with torch.no_grad():
            regression = regress(degraded[None].to(device))
        estimate, evidence = regression.estimate.float().clamp(-1, 1).cpu(), regression.evidence.float().cpu()
        level = trusted_level(estimate - clean[None])
        made.append((clean.half(), evidence[0].half(), estimate[0].half(), level[0]))
        if on_crop is not None:
            on_crop(len(made), rounds * len(files))
    stacked = [torch.stack(column) for column in zip(*made, strict=True)]
    held_out = torch.arange(len(made)) % len(files) % HELD_OUT == 0
    return Pairs(stacked[0], stacked[1], stacked[2], stacked[3], held_out)


def _degraded(files: Sequence[Path], size: int, rounds: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Each crop and a degraded one, (3, R, R) float32 in [-1, 1]."""
    for number in range(rounds * len(files)):
        rng = np.random.default_rng((seed, number))
        clean = read_crop(files[number % len(files)], size)
        if rng.random() < 0.5:
            clean = clean[:, ::-1]
        degraded = damaged(np.ascontiguousarray(clean), random_damage(rng), rng)
        yield _tensor(clean), _tensor(degraded)


def _tensor(crop: np.ndarray) -> Tensor:
    return 2 * torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1).contiguous() - 1
