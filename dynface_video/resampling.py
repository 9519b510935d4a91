"""Resampling of picture tensors: area reduction, enlargement, Gaussian blur and warping, on the device they lie on.

On the CPU, OpenCV works plane by plane on views of the same memory, which measures faster than torch there; on every
other device all of it is torch. Both follow one convention and agree within rounding (warping: see `warp`).

Convention: pictures are (B, C, H, W) float32, pixel centres are integers, a reduced or enlarged picture covers the same
area (torch's `align_corners=False`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Border = Literal["reflect", "reflect_101"]
KERNEL_REACH = 4.0
"""Length of a Gaussian kernel to either side, in sigmas."""
FINE, LARGEST_FINE = 3, 256
"""For sums of warps on the CPU, pictures of up to this side are enlarged so many times by a cubic kernel and then
warped linearly: a picture is warped often, and so it takes two fifths of the time of cubic warps and is a little more
exact (48.6 dB against 48.2 on faces of 128 pixels shifted by parts of a pixel)."""


def reduce_area(picture: Tensor, size: int) -> Tensor:
    """Shrink pictures to (B, C, size, size) by area averaging; the same pictures if they have that size already."""
    if picture.shape[-1] == size and picture.shape[-2] == size:
        return picture
    if on_cpu(picture):
        return _resize_planes(picture, size, cv2.INTER_AREA)
    rows, columns = (_area_matrix(side, size, picture.device) for side in picture.shape[-2:])
    return rows @ picture @ columns.T


def enlarge(picture: Tensor, size: int) -> Tensor:
    """Enlarge pictures to (B, C, size, size) by bilinear interpolation; also a mild reduction, without antialiasing."""
    if picture.shape[-1] == size and picture.shape[-2] == size:
        return picture
    if on_cpu(picture):
        return _resize_planes(picture, size, cv2.INTER_LINEAR)
    return F.interpolate(picture, size=(size, size), mode="bilinear", align_corners=False)


def gaussian_blur(picture: Tensor, sigma: float, border: Border = "reflect_101") -> Tensor:
    """Blur pictures whose sides are small: the kernel is a dense matrix an axis, at most a few hundred pixels wide.

    Args:
        picture: (B, C, H, W) float32.
        sigma: Std in pixels.
        border: How the picture goes on beyond its rim: mirrored at the rim ("reflect") or at the centres of the
            outermost pixels ("reflect_101").
    """
    rows, columns = (_blur_matrix(side, sigma, border, picture.device) for side in picture.shape[-2:])
    return rows @ picture @ columns.T


def box_blur(picture: Tensor, radius: int) -> Tensor:
    """Means over squares of `2 * radius + 1` pixels; pictures go on mirrored at the rim."""
    if on_cpu(picture):
        blurred, side = torch.empty_like(picture, memory_format=torch.contiguous_format), 2 * radius + 1
        for plane, out in zip(_planes(picture), _planes(blurred), strict=True):
            cv2.blur(plane, (side, side), dst=out, borderType=cv2.BORDER_REFLECT)
        return blurred
    rows, columns = (_box_matrix(side, radius, picture.device) for side in picture.shape[-2:])
    return rows @ picture @ columns.T


def warp(source: Tensor, flow: Tensor, mode: Literal["bicubic", "bilinear"] = "bicubic") -> Tensor:
    """The source as the target of the flow would show it; its borders are replicated.

    Convention: the point (x, y) of the target is found at (x, y) + flow[:, :, y, x] in the source. The cubic kernel is
    Keys's with a = -0.75. On the CPU positions are rounded to 1/32 pixel (69 dB on textures against exact ones).

    Args:
        source: (B, C, R, R) float32.
        flow: (B, 2, R, R) float32 pixels, x first.
        mode: Interpolation.
    """
    size = flow.shape[-1]
    places = torch.arange(size, dtype=torch.float32, device=flow.device)
    x, y = flow[:, 0] + places, flow[:, 1] + places[:, None]
    if not on_cpu(source):
        grid = torch.stack([x, y], dim=-1) * (2 / (size - 1)) - 1
        return F.grid_sample(source, grid, mode=mode, padding_mode="border", align_corners=True)
    warped = torch.empty((*source.shape[:2], *flow.shape[-2:]))
    remap = _remap_cubic if mode == "bicubic" else _remap_linear
    for planes, into, x_map, y_map in zip(array_of(source), warped.numpy(), array_of(x), array_of(y), strict=True):
        remap(planes, x_map, y_map, into)
    return warped


def _remap_cubic(planes: np.ndarray, x: np.ndarray, y: np.ndarray, into: np.ndarray) -> None:
    # Plane by plane OpenCV is faster than on interleaved channels, and needs no copy.
    for plane, out in zip(planes, into, strict=True):
        cv2.remap(plane, x, y, cv2.INTER_CUBIC, dst=out, borderMode=cv2.BORDER_REPLICATE)


def _remap_linear(planes: np.ndarray, x: np.ndarray, y: np.ndarray, into: np.ndarray) -> None:
    # For linear interpolation interleaving pays.
    for first in range(0, len(planes), 3):
        mixed = cv2.merge(list(planes[first : first + 3]))
        mixed = cv2.remap(mixed, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cv2.split(mixed, list(into[first : first + 3]))


@dataclass(frozen=True, eq=False)
class Warps:
    """P pairs: which picture is warped how, and in which sum it counts how much.

    Convention: the point p of a sum, in pixels of pictures of R by R, is found at p + R * flow in the picture.

    Attributes:
        targets: The row of each pair's sum.
        sources: The row of each pair's picture; what is prepared of it serves all pairs in a row that have it.
        flow: (P, 2, G, G) float32, x first, in sides of the picture.
        gain: (P, 1, G, G) float32 by which the warped picture is multiplied.
        light: (P, 3, L, L) float32 by which its channels are multiplied as well.
    """

    targets: Sequence[int]
    sources: Sequence[int]
    flow: Tensor
    gain: Tensor
    light: Tensor


def sum_warped(pictures: Tensor, warps: Warps, count: int) -> Tensor:
    """Weighted sums of warped pictures, (count, 3, R, R): of each, its pairs in their order.

    A sum has the same bytes whatever others are made with it. Borders are replicated.

    Args:
        pictures: (N, 3, R, R) float32.
        warps: The pairs.
        count: How many sums there are; one without a pair is 0.
    """
    if on_cpu(pictures):
        return _sum_planes(pictures, warps, count)
    size, sums = pictures.shape[-1], pictures.new_zeros(count, *pictures.shape[1:])
    fields = torch.cat([warps.flow, warps.gain * enlarge(warps.light, warps.gain.shape[-1])], dim=1)
    # A pair a sum at a time: no two of a round share a sum, so that additions have one order.
    rounds: list[list[int]] = []
    seen = [0] * count
    for pair, target in enumerate(warps.targets):
        if seen[target] == len(rounds):
            rounds.append([])
        rounds[seen[target]].append(pair)
        seen[target] += 1
    for pairs in rounds:
        rows = [pairs, [warps.targets[pair] for pair in pairs], [warps.sources[pair] for pair in pairs]]
        own, target, source = torch.tensor(rows, device=pictures.device)
        moved = enlarge(fields[own], size)
        sums.index_add_(0, target, warp(pictures[source], size * moved[:, :2]).mul_(moved[:, 2:]))
    return sums


def _sum_planes(pictures: Tensor, warps: Warps, count: int) -> Tensor:
    size, counted = pictures.shape[-1], warps.gain.flatten(1).any(dim=1).tolist()
    scale = FINE if size <= LARGEST_FINE else 1
    flows, gains, lights = (array_of(field) for field in (scale * size * warps.flow, warps.gain, warps.light))
    parts = _moving_parts(flows, size)
    totals, pixels = np.zeros((count, size, size, 3), np.float32), _pixels(size, scale)
    places = np.empty((2, size, size), np.float32)
    warped, factors = np.empty((2, size, size, 3), np.float32)
    shown, picture = -1, None
    for pair, (target, source) in enumerate(zip(warps.targets, warps.sources, strict=True)):
        if not counted[pair]:
            continue
        if picture is None or source != shown:
            shown, picture = source, _PreparedPicture(array_of(pictures[source]), scale)
        for plane, own, flow in zip(places, pixels, flows[pair], strict=True):
            cv2.add(cv2.resize(flow, (size, size), dst=plane), own, dst=plane)
        (gain,) = gains[pair]
        light = cv2.resize(cv2.merge(list(lights[pair])), gain.shape)
        cv2.resize(cv2.multiply(light, cv2.merge([gain] * 3), dst=light), (size, size), dst=factors)
        picture.warp(places, parts[pair], warped)
        cv2.accumulateProduct(warped, factors, totals[target])
    sums = torch.empty(count, *pictures.shape[1:])
    for total, planes in zip(totals, sums.numpy(), strict=True):
        cv2.split(total, list(planes))
    return sums


class _PreparedPicture:
    """A picture (3, R, R) that is warped several times; by an odd scale it is enlarged for that, by 1 it is not."""

    def __init__(self, planes: np.ndarray, scale: int) -> None:
        self._planes, self._scale, self._mixed = list(planes), scale, cv2.merge(list(planes))

    @cached_property
    def _enlarged(self) -> np.ndarray:
        side = self._scale * len(self._mixed)
        return cv2.resize(self._mixed, (side, side), interpolation=cv2.INTER_CUBIC)

    def warp(self, places: np.ndarray, part: tuple[slice, slice] | None, warped: np.ndarray) -> None:
        """Write the picture at places (2, R, R) into (R, R, 3); beside the part nothing moves."""
        if part is None:
            np.copyto(warped, self._mixed)
            return
        whole = all(own == slice(0, len(warped)) for own in part)
        if not whole:
            np.copyto(warped, self._mixed)
        x, y = (np.ascontiguousarray(plane[part]) for plane in places)
        into, border = warped if whole else np.empty((*x.shape, 3), np.float32), cv2.BORDER_REPLICATE
        if self._scale > 1:
            cv2.remap(self._enlarged, x, y, cv2.INTER_LINEAR, dst=into, borderMode=border)
        else:
            # Cubic warps are faster plane by plane.
            cv2.merge([cv2.remap(plane, x, y, cv2.INTER_CUBIC, borderMode=border) for plane in self._planes], into)
        if not whole:
            warped[part] = into


def _moving_parts(flows: np.ndarray, size: int) -> list[tuple[slice, slice] | None]:
    """Of flows (P, 2, G, G), enlarged: rows and columns of the picture outside of which each is 0; None: all over."""
    moving = (flows != 0).any(axis=1)
    grid, cell = flows.shape[-1], size / flows.shape[-1]

    def reached(own: np.ndarray) -> list[slice]:
        first, last = own.argmax(axis=1), grid - 1 - own[:, ::-1].argmax(axis=1)
        # Linear interpolation reaches to the middles of the cells beside.
        return [
            slice(max(0, math.floor((low - 0.5) * cell) - 1), min(size, math.ceil((high + 1.5) * cell) + 1))
            for low, high in zip(first.tolist(), last.tolist(), strict=True)
        ]

    parts = zip(moving.any(axis=(1, 2)), reached(moving.any(axis=2)), reached(moving.any(axis=1)), strict=True)
    return [(rows, columns) if moves else None for moves, rows, columns in parts]


@lru_cache(maxsize=8)
def _pixels(size: int, scale: int) -> np.ndarray:
    """Where the pixels of a picture are in the one enlarged by an odd scale, (2, size, size), x first."""
    return np.ascontiguousarray(scale * np.mgrid[:size, :size][::-1].astype(np.float32) + scale // 2)


def one_by_one(function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor | None) -> tuple[Tensor, ...]:
    """Apply a function of batches: in one call on a GPU, to one item at a time on the CPU.

    On the CPU the result of an item then has the same bytes in every batch, and its pictures stay in the cache.

    Args:
        function: Takes batches and returns batches of the same length.
        tensors: (B, ...) each, or None, which is passed on.
    """
    first = next(tensor for tensor in tensors if tensor is not None)
    if not on_cpu(first) or len(first) == 1:
        return function(*tensors)
    items = [function(*(t if t is None else t[i : i + 1] for t in tensors)) for i in range(len(first))]
    return tuple(torch.cat(parts) for parts in zip(*items, strict=True))


def on_cpu(tensor: Tensor) -> bool:
    """Whether a tensor lies in the CPU's memory, where OpenCV can work on it."""
    return tensor.device.type == "cpu"


def array_of(tensor: Tensor) -> np.ndarray:
    """A CPU tensor as an array, without a copy where it is contiguous."""
    return tensor.detach().contiguous().numpy()


def _planes(pictures: Tensor) -> np.ndarray:
    """The planes of pictures, (B * C, H, W), on the same memory where they are contiguous."""
    return array_of(pictures).reshape(-1, *pictures.shape[-2:])


def _resize_planes(picture: Tensor, size: int, interpolation: int) -> Tensor:
    resized = torch.empty((*picture.shape[:2], size, size))
    for plane, out in zip(_planes(picture), _planes(resized), strict=True):
        cv2.resize(plane, (size, size), dst=out, interpolation=interpolation)
    return resized


# The cached matrices must serve training as well, even if inference asks for them first.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _area_matrix(size: int, reduced: int, device: torch.device) -> Tensor:
    """Weights of `size` pixels in `reduced` ones by the area they share, (reduced, size)."""
    edges = torch.linspace(0, size, reduced + 1, dtype=torch.float64)
    pixel = torch.arange(size, dtype=torch.float64)
    shared = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    return (shared.clamp(min=0) * (reduced / size)).float().to(device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _blur_matrix(size: int, sigma: float, border: Border, device: torch.device) -> Tensor:
    """Row i: the weights of the pixels in blurred pixel i, (size, size)."""
    reach = math.ceil(KERNEL_REACH * sigma)
    offsets = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-offsets.double().square() / (2 * sigma**2))
    places = torch.arange(size)[:, None] + offsets
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, _reflected(places, size, border), (kernel / kernel.sum()).expand(size, -1))
    return matrix.float().to(device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _box_matrix(size: int, radius: int, device: torch.device) -> Tensor:
    places = _reflected(torch.arange(size)[:, None] + torch.arange(-radius, radius + 1), size, "reflect")
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, places, torch.full(places.shape, 1 / (2 * radius + 1), dtype=torch.float64))
    return matrix.float().to(device)


def _reflected(places: Tensor, size: int, border: Border) -> Tensor:
    if size == 1:
        return torch.zeros_like(places)
    period = 2 * size if border == "reflect" else 2 * size - 2
    folded = places.remainder(period)
    return torch.minimum(folded, period - folded - (1 if border == "reflect" else 0))
