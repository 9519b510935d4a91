"""Conversion of HDR, scene-linear and film-log colours to a range that networks trained on SDR expect, and back.

Coded values become light relative to diffuse white, BT.709 primaries, then the sRGB curve with a shoulder above `KNEE`.
Every step has an inverse, also below black and above white; unchanged values are restored exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np

from dynface_video.media.io.probe import ColourInfo
from dynface_video.media.pixels.colour import blend_region, picture_to_rgb, picture_to_rgb16, read_region
from dynface_video.media.pixels.planes import Box

LINEAR, PQ, HLG = 8, 16, 18
FILM_LOG = 256
"""Printing density of film scans (Cineon, DPX); H.273 has no number for it, so it is never written as a tag."""
BT2020 = 9

DIFFUSE_WHITE = 203.0
"""cd/m2 (ITU-R BT.2408)."""
HLG_WHITE = 0.75
"""HLG's coded value of diffuse white (ITU-R BT.2408)."""
HLG_GAMMA = 1.2
"""System gamma of a display of 1000 cd/m2 (ITU-R BT.2100)."""
FILM_WHITE, FILM_BLACK, FILM_STEP, FILM_GAMMA = 685.0, 95.0, 0.002, 0.6
"""Cineon: code values of white and black, density of a step, gamma of the negative."""
KNEE, SOFTNESS = 0.7, 0.125
"""Of the shoulder: diffuse white becomes 0.85, 1000 cd/m2 become 1.0."""

FROM_BT2020 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
"""Linear light of BT.2020 primaries to BT.709 (ITU-R BT.2087)."""


@dataclass(frozen=True)
class WorkingRange:
    """Conversion between coded RGB and the working range.

    Attributes:
        transfer: `LINEAR`, `PQ`, `HLG` or `FILM_LOG`.
        wide: Whether the primaries are those of BT.2020.
    """

    transfer: int
    wide: bool = False

    def to_working(self, rgb: np.ndarray) -> np.ndarray:
        """Coded RGB, (..., 3) float, nominally [0, 1] (linear light: 1 is diffuse white), as (..., 3) float64."""
        light = _to_light(np.asarray(rgb, np.float64), self.transfer)
        if self.wide:
            light = light @ FROM_BT2020.T
        return _shoulder(_signed(_srgb, light))

    def from_working(self, rgb: np.ndarray) -> np.ndarray:
        """The reverse of `to_working`, (..., 3) float64."""
        light = _signed(_srgb_inverse, _shoulder_inverse(np.asarray(rgb, np.float64)))
        if self.wide:
            light = light @ np.linalg.inv(FROM_BT2020).T
        return _from_light(light, self.transfer)


def working_range(colour: ColourInfo) -> WorkingRange | None:
    """The conversion for a stream's colours; None for SDR, which needs none."""
    if colour.transfer not in (LINEAR, PQ, HLG, FILM_LOG):
        return None
    return WorkingRange(colour.transfer, wide=colour.primaries == BT2020)


def read_working_region(picture: av.VideoFrame, box: Box, colour: ColourInfo) -> np.ndarray:
    """As `read_region`, in the working range."""
    region, conversion = read_region(picture, box, colour), working_range(colour)
    return region if conversion is None else conversion.to_working(region).astype(np.float32)


def blend_working_region(
    picture: av.VideoFrame, box: Box, rgb: np.ndarray, mask: np.ndarray, colour: ColourInfo
) -> None:
    """As `blend_region`, with `rgb` in the working range; values as `read_working_region` gave them keep every bit."""
    conversion = working_range(colour)
    if conversion is not None:
        old = read_region(picture, box, colour)
        unchanged = conversion.to_working(old).astype(np.float32)
        change = conversion.from_working(rgb) - conversion.from_working(unchanged)
        rgb = old + change.astype(np.float32)
    blend_region(picture, box, rgb, mask, colour)


def picture_to_working_rgb(picture: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
    """A whole picture in the working range, (H, W, 3) uint8 RGB."""
    conversion = working_range(colour)
    if conversion is None:
        return picture_to_rgb(picture, colour)
    to_light, to_working = _tables(conversion)
    light = to_light[picture_to_rgb16(picture, colour)]
    if conversion.wide:
        light = cv2.transform(light, FROM_BT2020.astype(np.float32))
    # A half has 11 significant bits, more than the 8 of the result: its bits are the place in the table.
    return np.asarray(to_working[light.astype(np.float16).view(np.uint16)])


@lru_cache
def _tables(conversion: WorkingRange) -> tuple[np.ndarray, np.ndarray]:
    """Light, float32, of every code of 16 bit; the working range, uint8, of every float16 of light by its bits."""
    codes = np.arange(1 << 16)
    light = _to_light(codes / 65535, conversion.transfer).astype(np.float32)
    halves = codes.astype(np.uint16).view(np.float16).astype(np.float64)
    halves = np.nan_to_num(halves, posinf=65504, neginf=-65504)
    working = _shoulder(_signed(_srgb, halves))
    return light, np.rint(np.clip(working, 0, 1) * 255).astype(np.uint8)


def _to_light(coded: np.ndarray, transfer: int) -> np.ndarray:
    """Light relative to diffuse white."""
    if transfer == PQ:
        return _signed(_pq, coded)
    if transfer == HLG:
        return _signed(_hlg, coded)
    return _film(coded) if transfer == FILM_LOG else coded


def _from_light(light: np.ndarray, transfer: int) -> np.ndarray:
    if transfer == PQ:
        return _signed(_pq_inverse, light)
    if transfer == HLG:
        return _signed(_hlg_inverse, light)
    return _film_inverse(light) if transfer == FILM_LOG else light


def _signed(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """A function of values from 0 up, continued to negative ones by symmetry."""
    return np.asarray(np.copysign(function(np.abs(values)), values))


# SMPTE ST 2084.
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_PEAK = 10000.0


def _pq(coded: np.ndarray) -> np.ndarray:
    # The curve has a pole a little above 1; beyond 1 it continues linearly.
    power = np.minimum(coded, 1) ** (1 / M2)
    light = (np.maximum(power - C1, 0) / (C2 - C3 * power)) ** (1 / M1)
    return np.asarray(PQ_PEAK / DIFFUSE_WHITE * (light + np.maximum(coded - 1, 0)))


def _pq_inverse(light: np.ndarray) -> np.ndarray:
    relative = light * (DIFFUSE_WHITE / PQ_PEAK)
    power = np.minimum(relative, 1) ** M1
    return np.asarray(((C1 + C2 * power) / (1 + C3 * power)) ** M2 + np.maximum(relative - 1, 0))


# ITU-R BT.2100, HLG.
A, B, C = 0.17883277, 0.28466892, 0.55991073


def _hlg_scene(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.5, coded**2 / 3, (np.exp((np.maximum(coded, 0.5) - C) / A) + B) / 12)


def _hlg(coded: np.ndarray) -> np.ndarray:
    return np.asarray((_hlg_scene(coded) / _hlg_scene(np.array(HLG_WHITE))) ** HLG_GAMMA)


def _hlg_inverse(light: np.ndarray) -> np.ndarray:
    scene = light ** (1 / HLG_GAMMA) * _hlg_scene(np.array(HLG_WHITE))
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), A * np.log(np.maximum(12 * scene - B, 1e-9)) + C)


FILM_OFFSET = 10 ** ((FILM_BLACK - FILM_WHITE) * FILM_STEP / FILM_GAMMA)


def _film(coded: np.ndarray) -> np.ndarray:
    density = (coded * 1023 - FILM_WHITE) * FILM_STEP / FILM_GAMMA
    return np.asarray((10**density - FILM_OFFSET) / (1 - FILM_OFFSET))


def _film_inverse(light: np.ndarray) -> np.ndarray:
    exposure = np.maximum(light * (1 - FILM_OFFSET) + FILM_OFFSET, 10 ** (-FILM_WHITE * FILM_STEP / FILM_GAMMA))
    return np.asarray((np.log10(exposure) * FILM_GAMMA / FILM_STEP + FILM_WHITE) / 1023)


def _srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def _srgb_inverse(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((np.maximum(value, 0.04045) + 0.055) / 1.055) ** 2.4)


def _shoulder(value: np.ndarray) -> np.ndarray:
    """Values above the knee on a logarithm, with the same slope where they meet."""
    return np.where(value <= KNEE, value, KNEE + SOFTNESS * np.log1p((np.maximum(value, KNEE) - KNEE) / SOFTNESS))


def _shoulder_inverse(value: np.ndarray) -> np.ndarray:
    return np.where(value <= KNEE, value, KNEE + SOFTNESS * np.expm1((np.maximum(value, KNEE) - KNEE) / SOFTNESS))
