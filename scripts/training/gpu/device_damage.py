"""Scratches, dust and stains on a batch of small pictures, drawn on the device (the CPU's are in `training.damage`).

Lengths are relative to the picture's width, so the same damage is drawn at every resolution. It lies on the film, above
the picture: what the network is to remove is sharp where the face is blurred.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LINES = 3
SPECKS = 12
STAIN_GRID = 8


def damage_pictures(pictures: Tensor, sizes: Tensor, share: Tensor, generator: torch.Generator) -> Tensor:
    """Cover some pictures of a batch with lines, specks and a stain.

    Args:
        pictures: Canvases (B, 3, N, N) in [0, 1], of which the first `size` rows and columns are the picture.
        sizes: (B,) long.
        share: (B,), 1 for damaged pictures, 0 for unchanged ones.
        generator: Of the device.

    Returns:
        Canvases of the same shape; what lies outside the pictures is undefined.
    """
    width = sizes.float()[:, None, None]
    place = torch.arange(pictures.shape[-1], device=pictures.device, dtype=torch.float32)
    rows, columns = place[None, :, None], place[None, None, :]
    for _ in range(LINES):
        opacity = _line(rows, columns, width, generator)
        pictures = _cover(pictures, opacity * _some(share, 0.5, generator), generator)
    for _ in range(SPECKS):
        opacity = _speck(rows, columns, width, generator)
        pictures = _cover(pictures, opacity * _some(share, 0.6, generator), generator)
    opacity = _stain(pictures.shape[-1], len(pictures), generator)
    return _cover(pictures, opacity * _some(share, 0.2, generator), generator)


def _line(rows: Tensor, columns: Tensor, width: Tensor, generator: torch.Generator) -> Tensor:
    """A line along the film that leans and wavers, of at least a third of a pixel; (B, N, N)."""
    start, phase, length = (_uniform(width, generator) for _ in range(3))
    lean, waver = 0.03 * _normal(width, generator), 0.006 * width * _normal(width, generator)
    wave = torch.sin(2 * math.pi * (phase + rows / width * (0.5 + 2 * length)))
    centre = start * width + lean * (rows - width / 2) + waver * wave
    thickness = 0.3 - torch.log(_uniform(width, generator).clamp(min=1e-3)) * width / 250
    return (0.5 + thickness / 2 - (columns - centre).abs()).clamp(0, 1) * thickness.clamp(max=1)


def _speck(rows: Tensor, columns: Tensor, width: Tensor, generator: torch.Generator) -> Tensor:
    """An ellipse of a random size, most of them tiny; (B, N, N)."""
    x, y = _uniform(width, generator) * width, _uniform(width, generator) * width
    radius = 0.4 - torch.log(_uniform(width, generator).clamp(min=1e-2)) * width / 140
    stretch = torch.exp(0.4 * _normal(width, generator))
    distance = torch.sqrt(((columns - x) * stretch).square() + ((rows - y) / stretch).square())
    return (0.5 + radius - distance).clamp(0, 1)


def _stain(side: int, count: int, generator: torch.Generator) -> Tensor:
    """Translucent spots with soft rims; (B, side, side) in [0, 0.6]."""
    coarse = torch.randn(count, 1, STAIN_GRID, STAIN_GRID, generator=generator, device=generator.device)
    field = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)[:, 0]
    depth = 0.1 + 0.5 * torch.rand(count, 1, 1, generator=generator, device=generator.device)
    return depth * ((field - 0.8) / 0.3).clamp(0, 1)


def _cover(pictures: Tensor, opacity: Tensor, generator: torch.Generator) -> Tensor:
    """Under a layer (B, N, N) that is dark or light, now and then tinted."""
    count = len(pictures)
    light = (torch.rand(count, 1, 1, 1, generator=generator, device=pictures.device) < 0.5).float()
    tint = torch.rand(count, 3, 1, 1, generator=generator, device=pictures.device)
    colour = 0.15 * tint + 0.85 * light
    return pictures + opacity[:, None] * (colour - pictures)


def _some(share: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """(B, 1, 1), a strength in [0.5, 1] for those damaged pictures that get a layer, 0 for the others."""
    drawn = torch.rand(len(share), generator=generator, device=share.device)
    strength = 0.5 + 0.5 * torch.rand(len(share), generator=generator, device=share.device)
    return (share * (drawn < probability).float() * strength)[:, None, None]


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)
