"""Repeated pictures: film carried at a higher rate, stills, telecine. Compression leaves them alike, seldom equal."""

from __future__ import annotations

import math

import av
import cv2
import numpy as np

BLOCK = 16
"""Side of the squares that are compared, pixels of a plane: a moving mouth must fill one of them, noise average out."""
BAND = 4 * BLOCK
"""Lines that are compared at once: where things move, most of the picture need not be looked at."""
FINENESS = 8
"""Steps of a level in which differences of 8-bit pictures are averaged."""


class RepeatFinder:
    """Finds runs of pictures that repeat their first, while a video is decoded.

    A picture is compared with the first of its run, not with the one before it: a slow motion ends a run.

    Args:
        tolerance: Mean difference that no square of `BLOCK` pixels may exceed, in levels of 255; 0 is equality.

    Attributes:
        runs: Start and stop of each run of at least two frames.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.runs = tolerance, list[tuple[int, int]]()
        self._first: av.VideoFrame | None = None
        self._start = self._count = 0

    def feed(self, picture: av.VideoFrame) -> None:
        """Take the next picture."""
        if self._first is None or largest_difference(self._first, picture, self.tolerance) > self.tolerance:
            self._first, self._start = picture, self._count
        elif self.runs and self.runs[-1][0] == self._start:
            self.runs[-1] = (self._start, self._count + 1)
        else:
            self.runs.append((self._start, self._count + 1))
        self._count += 1


def largest_difference(one: av.VideoFrame, other: av.VideoFrame, enough: float = math.inf) -> float:
    """The largest mean difference of a square of `BLOCK` pixels in two pictures, over all planes, in levels of 255.

    Infinite for pictures of different shapes, and for different ones whose samples are not whole numbers of 8 to 16
    bits in their machine order. If it is above `enough`, any difference above that may be returned.
    """
    if (one.format.name, one.width, one.height) != (other.format.name, other.width, other.height):
        return math.inf
    worst = 0.0
    for number in range(len(one.planes)):
        a, b = _lines(one, number), _lines(other, number)
        for band in _bands(len(a)):
            if not np.array_equal(a[band], b[band]):
                worst = max(worst, _difference(a[band], b[band], one.format))
            if worst > enough:
                return worst
    return worst


def _bands(height: int) -> list[slice]:
    """Bands of `BAND` lines, from the middle of the picture outwards; the lowest is up to twice as high."""
    count = max(1, height // BAND)
    bands = [slice(BAND * k, height if k == count - 1 else BAND * (k + 1)) for k in range(count)]
    return sorted(bands, key=lambda band: abs(band.start + band.stop - height))


def _difference(a: np.ndarray, b: np.ndarray, layout: av.VideoFormat) -> float:
    bits = max(component.bits for component in layout.components)
    whole = not any(mark in layout.name for mark in ("f16", "f32", "pal"))
    if not whole or not 8 <= bits <= 16 or (bits > 8 and not layout.name.endswith("le")):
        return math.inf
    if bits == 8:
        apart, levels = cv2.convertScaleAbs(cv2.absdiff(a, b), alpha=FINENESS), float(FINENESS)
    else:
        apart = cv2.absdiff(a.view("<u2"), b.view("<u2")).astype(np.float32)
        levels = float(2 ** (bits - 8))
    height, width = apart.shape
    squares = max(1, width // BLOCK), max(1, height // BLOCK)
    return float(cv2.resize(apart, squares, interpolation=cv2.INTER_AREA).max()) / levels


def _lines(picture: av.VideoFrame, number: int) -> np.ndarray:
    """The bytes of a plane without the padding of its lines, (H, W) uint8."""
    plane = picture.planes[number]
    if plane.line_size == 0:
        return np.frombuffer(memoryview(plane), np.uint8)[None]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))[: plane.height]
    layout = picture.format
    if len(picture.planes) == 1:
        used = plane.width * layout.padded_bits_per_pixel // 8
    else:
        sizes = [(component.bits + 7) // 8 for component in layout.components if component.plane == number]
        used = plane.width * sum(sizes)
    return lines[:, : min(used, lines.shape[1])]
