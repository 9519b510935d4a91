"""Training crops as uint8 on the device, and clean crops cut from them by one sampling a batch.

The whole training set fits: 3,843 crops of 256 pixels are 0.76 GB, 860 of 512 are 0.68 GB. Geometry and colour jitter
are those of `training.data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.errors import InputError
from dynface_video.faces.colour import LUMINANCE
from training.data import FaceSet, load_faces

ANGLE_STD, ZOOM_STD, SHIFT_STD = 3.0, 0.05, 0.02
"""Of the geometric jitter: degrees, logarithm of the scale, share of the side."""
GREY_SHARE, TINTED_SHARE = 0.12, 0.4
PACKS = {256: ("part1/crops_256", "crops_256", "faces_train/modern_256"), 512: ("part2/modern_512", "modern_512",
         "faces_train/modern_512")}  # fmt: skip
"""Where crops of a side lie: in the packs that travel to a GPU, or in the whole data set."""


@dataclass(frozen=True)
class DeviceFaces:
    """Crops of one side on the device.

    images: (N, 3, S, S) uint8; corners: (N, 4, 2) float32, the source picture's corners in crop pixels, clockwise
    source: the same crops on the host, for what is not drawn on the device
    """

    images: Tensor
    corners: Tensor
    source: FaceSet

    @classmethod
    def load(cls, data: Path, side: int, cache: Path, device: torch.device) -> DeviceFaces:
        """Crops of 256 or 512 pixels from the packs or the data set; decoded pixels are kept in `cache`.

        Raises:
            InputError: There are no crops of this side.
        """
        for name in PACKS[side]:
            path = data / name
            if path.with_suffix(".tar").is_file():
                faces = load_faces(path.parent, (path.name,), cache, native=side)
                return cls.of(faces, device)
        raise InputError(
            f"no training crops of {side} pixels in {data}; expected one of {', '.join(PACKS[side])} (.tar)"
        )

    @classmethod
    def of(cls, faces: FaceSet, device: torch.device) -> DeviceFaces:
        """A set that is decoded already."""
        images = torch.from_numpy(np.array(faces.images)).to(device).permute(0, 3, 1, 2).contiguous()
        return cls(images, torch.from_numpy(faces.corners).to(device), faces)

    @property
    def side(self) -> int:
        """S, pixels."""
        return self.images.shape[-1]

    def positions(self, *, largest_scale: float = float("inf")) -> Tensor:
        """Positions of the sharp training crops on the device, (M,) long; see `FaceSet.indices`."""
        chosen = self.source.indices(held_out=False, largest_scale=largest_scale)
        if len(chosen) == 0:
            raise InputError(f"no sharp training crop of {self.side} pixels with a scale of at most {largest_scale}")
        return torch.from_numpy(chosen).to(self.images.device)

    def jittered(self, chosen: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops of `size` pixels under a random similarity, mirrored or not.

        Sampling is as fine as the stored crops, then areas are averaged: reduced crops do not alias.

        Args:
            chosen: (B,) long, positions.
            size: Side of the crops; S is a multiple of it.
            generator: Of the device.

        Returns:
            Crops (B, 3, size, size) float32 in [0, 1] without colour jitter, and masks (B, 1, size, size), 0 where the
            picture was mirrored.
        """
        finer = max(1, self.side // size)
        grid = F.affine_grid(_similarities(len(chosen), generator), [len(chosen), 3, size * finer, size * finer],
                             align_corners=False)  # fmt: skip
        sampled = F.grid_sample(self.images[chosen].float() / 255, grid, padding_mode="reflection", align_corners=False)
        mask = inside_quadrilateral((grid + 1) * self.side / 2 - 0.5, self.corners[chosen])[:, None]
        return F.avg_pool2d(sampled, finer), F.avg_pool2d(mask, finer)

    def upright(self, chosen: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops at their own pixels, or averaged over areas to `size`, mirrored or not; returns as `jittered`."""
        finer = self.side // size
        place = torch.arange(self.side, device=self.images.device, dtype=torch.float32)
        points = torch.stack(torch.meshgrid(place, place, indexing="xy"), dim=-1)
        mask = inside_quadrilateral(points[None].expand(len(chosen), -1, -1, -1), self.corners[chosen])[:, None]
        pictures = F.avg_pool2d(self.images[chosen].float() / 255, finer)
        flipped = torch.rand(len(chosen), 1, 1, 1, generator=generator, device=pictures.device) < 0.5
        pictures, mask = (torch.where(flipped, x.flip(3), x) for x in (pictures, F.avg_pool2d(mask, finer)))
        return pictures, mask


def cut_patches(pictures: Tensor, corners: Tensor, size: int) -> Tensor:
    """Squares of `size` pixels of pictures (B, C, H, W) whose first pixels are (x, y) `corners`, (B, 2) long."""
    span = torch.arange(size, device=pictures.device)
    rows = (corners[:, 1, None] + span)[:, None, :, None].expand(-1, pictures.shape[1], -1, pictures.shape[3])
    columns = (corners[:, 0, None] + span)[:, None, None, :].expand(-1, pictures.shape[1], size, -1)
    return pictures.gather(2, rows).gather(3, columns)


def jitter_colour(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Random grey, tint, gamma and gains for crops (B, 3, H, W) in [0, 1]; as `training.data.jitter_colour`."""
    count, device = len(crops), crops.device

    def uniform(channels: int = 1) -> Tensor:
        return torch.rand(count, channels, 1, 1, generator=generator, device=device)

    def normal(channels: int = 1) -> Tensor:
        return torch.randn(count, channels, 1, 1, generator=generator, device=device)

    low, high = (torch.tensor(v, device=device)[:, None, None] for v in ((0.95, 0.82, 0.6), (1.0, 0.97, 0.9)))
    tint = torch.where(uniform() < TINTED_SHARE, low + (high - low) * uniform(3), torch.ones_like(low))
    grey = torch.einsum("bchw,c->bhw", crops, crops.new_tensor(LUMINANCE))[:, None]
    crops = torch.where(uniform() < GREY_SHARE, grey * tint, crops)
    gain = torch.exp(0.12 * normal() + 0.03 * normal(3))
    return (crops.clamp(0, 1) ** torch.exp(0.12 * normal()) * gain).clamp(0, 1)


def inside_quadrilateral(points: Tensor, corners: Tensor) -> Tensor:
    """1 for points (B, H, W, 2) inside convex quadrilaterals (B, 4, 2), clockwise with y down; (B, H, W) float32."""
    first, second = corners, corners.roll(-1, dims=1)
    inside = torch.ones(points.shape[:3], dtype=torch.bool, device=points.device)
    for k in range(4):
        a, b = first[:, k, None, None], second[:, k, None, None]
        edge, away = b - a, points - a
        inside &= edge[..., 0] * away[..., 1] - edge[..., 1] * away[..., 0] >= 0
    return inside.float()


def _similarities(count: int, generator: torch.Generator) -> Tensor:
    """Crop to stored crop in halves of their sides, (B, 2, 3)."""
    draw = torch.randn(4, count, generator=generator, device=generator.device)
    angle, scale = torch.deg2rad(ANGLE_STD * draw[0]), torch.exp(ZOOM_STD * draw[1])
    mirror = torch.where(torch.rand(count, generator=generator, device=generator.device) < 0.5, -1.0, 1.0)
    c, s = scale * torch.cos(angle), scale * torch.sin(angle)
    shift = 2 * SHIFT_STD * draw[2:]
    return torch.stack([torch.stack([mirror * c, -s, shift[0]], 1), torch.stack([mirror * s, c, shift[1]], 1)], 1)
