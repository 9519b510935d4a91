"""Clean crops and what degradation leaves of them, made on the device: whole for the coarsest stage, and for the local
stages with the coarser face beside them, in patches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.faces.align import low_pass_std, template
from dynface_video.models.restoration import enlarge_coarse
from training.clips import JPEG_WAVER, clip_degradation
from training.degradation import Degradation, damaged_film, local_degradation, training_degradation
from training.gpu.device_clips import Motions, brought_back, pixel_places, present_neighbours, sample_at
from training.gpu.device_data import DeviceFaces, cut_patches, jitter_colour
from training.gpu.device_degradation import DegradationBatch, degrade_batch
from training.local_restoration import (
    CENTRED_SHARE,
    LARGEST_SCALE,
    LEAST_INSIDE,
    PATCH,
    PATCHES_A_CROP,
    REDUCED_SHARE,
    SHARPENED_SHARE,
)
from training.loop import Batch

P = ParamSpec("P")
COARSEST = 128
TRIES = 6
"""Corners drawn for each patch, of which the first that lies mostly in the picture is taken."""
NEIGHBOUR_TIMES = (-2, -1, 1, 2)
"""Distances in frames of a window's neighbours from its middle."""
SAMPLED_SHARE = 0.7
"""Of the coarser faces that are not moved towards the clean one: sampled, as the pipeline's are."""
CELL = 16
"""Pixels: how finely it is looked up whether a patch lies in the picture."""


def in_full_precision(function: Callable[P, Batch]) -> Callable[P, Batch]:
    """The function without autocast: pictures and places need more than eight bits."""

    @functools.wraps(function)
    def plain(*args: P.args, **kwargs: P.kwargs) -> Batch:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            return function(*args, **kwargs)

    return plain


@dataclass(frozen=True)
class DegradedCrops:
    """Faces of 256 and of 512 pixels on the device, and batches of them.

    portraits: crops of 256 pixels; large: of 512
    """

    portraits: DeviceFaces
    large: DeviceFaces

    @property
    def device(self) -> torch.device:
        """Where the crops are."""
        return self.portraits.images.device

    @in_full_precision
    def clean(self, count: int, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """Whole faces of 128 pixels or less under geometric and colour jitter: clean in [-1, 1], and mask."""
        faces = self._source(size, rng)
        chosen = _draw(faces.positions(), count, generator)
        crops, mask = faces.jittered(chosen, size, generator)
        return {"clean": 2 * jitter_colour(crops, generator) - 1, "mask": mask}

    @in_full_precision
    def whole(self, count: int, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """`clean` and `degraded`, for the coarsest stage: the whole range of degradations, some of it damaged film."""
        batch = self.clean(count, size, rng, generator)
        drawn = [damaged_film(training_degradation(rng), rng) for _ in range(count)]
        return batch | {"degraded": self._degraded(batch["clean"], drawn, generator)}

    @in_full_precision
    def windows(self, count: int, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """`whole` of a kernel, size and codec a clip, and the neighbours of each crop warped onto it.

        Returns:
            Beside `whole`'s: neighbours, (count, K, 3, size, size) in [-1, 1], and valid, (count, K), 1 or 0.
        """
        batch, device = self.clean(count, size, rng, generator), self.device
        times = torch.tensor(NEIGHBOUR_TIMES, device=device, dtype=torch.float32)
        frames = 1 + len(times)
        motions = Motions.draw(count, times, generator)
        owners = torch.arange(count, device=device).repeat_interleave(len(times))
        places = pixel_places(len(owners), size, device)
        moved = sample_at(batch["clean"][owners], places + motions.at(places)).clamp(-1, 1)
        clips = torch.cat([batch["clean"][:, None], moved.unflatten(0, (count, -1))], dim=1)
        drawn = [frame for _ in range(count) for frame in _clip_degradations(frames, rng)]
        degraded = self._degraded(clips.flatten(0, 1), drawn, generator).unflatten(0, (count, frames))
        middle = degraded[:, 0]
        seen = brought_back(middle[owners], degraded[:, 1:].flatten(0, 1), motions, generator)
        seen = seen.unflatten(0, (count, -1)).clamp(-1, 1)
        valid = present_neighbours(count, times, generator)
        neighbours = torch.where(valid[..., None, None, None], seen, middle[:, None])
        return batch | {"degraded": middle, "neighbours": neighbours, "valid": valid.float()}

    @in_full_precision
    def sharp(self, count: int, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """Sharp faces of 256 or 512 pixels at their own pixels under colour jitter: clean in [-1, 1], and mask."""
        faces = self._source(size, rng)
        chosen = _draw(faces.positions(largest_scale=LARGEST_SCALE * faces.side / size), count, generator)
        pictures, mask = faces.upright(chosen, size, generator)
        return {"clean": 2 * jitter_colour(pictures, generator) - 1, "mask": mask}

    @in_full_precision
    def upright(self, count: int, size: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """`sharp` and `degraded`, by the degradation of the local stages."""
        batch = self.sharp(count, size, rng, generator)
        drawn = [local_degradation(rng) for _ in range(count)]
        return batch | {"degraded": self._degraded(batch["clean"], drawn, generator)}

    def _source(self, size: int, rng: np.random.Generator) -> DeviceFaces:
        return self.large if size == 512 or rng.random() < REDUCED_SHARE else self.portraits

    def _degraded(self, clean: Tensor, drawn: Sequence[Degradation], generator: torch.Generator) -> Tensor:
        parameters = DegradationBatch.of(drawn, clean.shape[-1], self.device)
        return 2 * degrade_batch((clean + 1) / 2, parameters, generator) - 1


@dataclass(frozen=True)
class LocalCrops:
    """What RM of the local stages learns from, as of `training.local_restoration`.

    coarsest: RM of 128 pixels, frozen; sampled: what the sampler makes of degraded crops (B, 3, 128, 128) and RM's
    estimates of them, under random strengths
    """

    crops: DegradedCrops
    coarsest: nn.Module
    sampled: Callable[[Tensor, Tensor, torch.Generator], Tensor]

    @torch.no_grad()
    def whole(
        self, count: int, side: int, local: nn.Module | None, rng: np.random.Generator, generator: torch.Generator
    ) -> Batch:
        """Whole crops of 256 or 512 pixels that were degraded whole.

        Args:
            count: Number of crops.
            side: R.
            local: RM of 256 pixels, which makes the coarser faces for crops of 512.
            rng: Draws on the host.
            generator: Draws on the device.

        Returns:
            clean, degraded, coarse: (count, 3, R, R) in [-1, 1]; mask: (count, 1, R, R).
        """
        batch = self.crops.upright(count, side, rng, generator)
        coarse = enlarge_coarse(self.coarsest_faces(batch, generator), 256)
        if side == 512:
            assert local is not None
            made = local(reduced(batch["degraded"], 2), coarse).float().clamp(-1, 1)
            coarse = enlarge_coarse(made, 512)
        return batch | {"coarse": coarse}

    @torch.no_grad()
    def patches(
        self, count: int, side: int, local: nn.Module | None, rng: np.random.Generator, generator: torch.Generator
    ) -> Batch:
        """Patches of 128 pixels of `whole` crops, several of each, with the same names."""
        of_each = PATCHES_A_CROP * side // 256
        whole = self.whole(-(-count // of_each), side, local, rng, generator)
        owners = torch.arange(count, device=self.crops.device) // of_each
        corners = patch_corners(whole["mask"][owners], generator)
        return {name: cut_patches(pictures[owners], corners, PATCH) for name, pictures in whole.items()}

    def coarsest_faces(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """What the stage of 128 makes of crops, (B, 3, 128, 128), sampled or RM's, or RM's nearer the clean face."""
        factor = batch["clean"].shape[-1] // COARSEST
        degraded = reduced(batch["degraded"], factor)
        estimates = self.coarsest(degraded).float().clamp(-1, 1)
        draw = torch.rand(3, len(estimates), 1, 1, 1, generator=generator, device=estimates.device)
        sharpened = draw[0] < SHARPENED_SHARE
        nearer = torch.lerp(estimates, reduced(batch["clean"], factor), 0.3 + 0.7 * draw[1])
        sampled = self.sampled(degraded, estimates, generator)
        return torch.where(sharpened, nearer, torch.where(draw[2] < SAMPLED_SHARE, sampled, estimates))


def reduced(crops: Tensor, factor: int) -> Tensor:
    """Crops (B, 3, R, R) as the pipeline samples the same face at R / factor (2 or 4); see `align.sample`."""
    std = torch.full((1,), low_pass_std(1 / factor), device=crops.device)
    blurred = gaussian_blur(crops, std)
    # The centre of a target pixel lies between the middle two of its `factor` pixels on each axis.
    middle = slice(factor // 2 - 1, None, factor), slice(factor // 2, None, factor)
    rows = (blurred[:, :, middle[0]] + blurred[:, :, middle[1]]) / 2
    return (rows[..., middle[0]] + rows[..., middle[1]]) / 2


def patch_corners(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Even corners (x, y) of patches, (B, 2) long, around a point of the face as often as not.

    mask: (B, 1, R, R), 0 where the crop was mirrored: of `TRIES` draws the first is taken that lies mostly inside.
    """
    count, size, device = len(mask), mask.shape[-1], mask.device
    points = torch.from_numpy(template(size)).float().to(device)
    which = torch.randint(len(points), (TRIES, count), generator=generator, device=device)
    spread = 0.06 * size * torch.randn(TRIES, count, 2, generator=generator, device=device)
    anywhere = (size - PATCH) * torch.rand(TRIES, count, 2, generator=generator, device=device)
    centred = torch.rand(TRIES, count, 1, generator=generator, device=device) < CENTRED_SHARE
    drawn = torch.where(centred, points[which] + spread - PATCH / 2, anywhere)
    corners = drawn.clamp(0, size - PATCH).long() // 2 * 2  # (TRIES, B, 2)
    share = F.avg_pool2d(F.avg_pool2d(mask, CELL), PATCH // CELL, stride=1)[:, 0]  # (B, n, n)
    cells = corners // CELL
    inside = share[torch.arange(count, device=device), cells[..., 1], cells[..., 0]] >= LEAST_INSIDE  # (TRIES, B)
    first = torch.where(inside.any(dim=0), inside.float().argmax(dim=0), TRIES - 1)
    return corners[first, torch.arange(count, device=device)]


def _clip_degradations(frames: int, rng: np.random.Generator) -> list[Degradation]:
    """Of the frames of one clip: what a codec does wavers, and damage is each frame's own."""
    clip = clip_degradation(rng)
    damaged = damaged_film(clip, rng).damage
    return [
        replace(
            clip,
            jpeg=clip.jpeg and int(np.clip(clip.jpeg + rng.integers(-JPEG_WAVER, JPEG_WAVER + 1), 1, 100)),
            damage=damaged and (frame == 0 or rng.random() < 0.5),
        )
        for frame in range(frames)
    ]


def _draw(positions: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return positions[torch.randint(len(positions), (count,), generator=generator, device=positions.device)]
