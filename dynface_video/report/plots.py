"""Plots over time as paths of SVG, in a few hundred points whatever the length of the video.

Convention:
    A plot's view box is `WIDTH` by `HEIGHT`, stretched to the width of the page; lines keep their width
    (`vector-effect`), and labels are HTML beside it, so that a phone shows them in full size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 1000, 100
MOST_POINTS = 480
DASH = 10
"""Length of the line that stands for a single point."""


@dataclass(frozen=True)
class Scale:
    """The axes of a plot.

    Attributes:
        frames: At the right edge: one past the last.
        top: Value at the top edge; 0 is at the bottom.
        first: Frame at the left edge.
    """

    frames: int
    top: float
    first: int = 0

    def x(self, frame: float) -> float:
        """Position of a frame."""
        return WIDTH * (frame - self.first) / max(self.frames - self.first, 1)

    def y(self, value: float) -> float:
        """Position of a value."""
        return HEIGHT * (1 - min(max(value / self.top, 0.0), 1.0)) if self.top > 0 else HEIGHT


def nice_top(value: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below a value; 1 for 0."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9)))


def thinned(frames: np.ndarray, values: np.ndarray, limit: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most about `limit` points: means of equal stretches of the values.

    Args:
        frames: (N,) rising.
        values: (N,).
        limit: Points.
    """
    if len(frames) <= limit:
        return frames.astype(np.float64), values.astype(np.float64)
    edges = np.unique(np.linspace(0, len(frames), limit + 1).astype(int))[:-1]
    counts = np.diff(np.append(edges, len(frames)))
    return np.add.reduceat(frames.astype(np.float64), edges) / counts, np.add.reduceat(values, edges) / counts


def line(pieces: Iterable[tuple[np.ndarray, np.ndarray]], scale: Scale) -> str:
    """The path of a line with a piece for each stretch, such as the tracks of a person.

    Args:
        pieces: Frames and values of each; their points are shared out by length.
        scale: The axes.
    """
    kept = [(frames, values) for frames, values in pieces if len(frames)]
    total = sum(len(frames) for frames, _ in kept)
    parts = []
    for frames, values in kept:
        limit = max(2, MOST_POINTS * len(frames) // max(total, 1))
        parts.append(_polyline(*thinned(frames, np.asarray(values, np.float64), limit), scale))
    return "".join(parts)


def _polyline(frames: np.ndarray, values: np.ndarray, scale: Scale) -> str:
    points = [f"{scale.x(f):.1f} {scale.y(v):.1f}" for f, v in zip(frames, values, strict=True)]
    if len(points) == 1:
        x, y = scale.x(float(frames[0])), scale.y(float(values[0]))
        return f"M{x - DASH / 2:.1f} {y:.1f}L{x + DASH / 2:.1f} {y:.1f}"
    return "M" + "L".join(points)


def bars(spans: Sequence[tuple[int, int]], scale: Scale) -> str:
    """The path of rectangles of full height over spans of frames, start and stop; what is hardly apart is joined."""
    parts: list[tuple[float, float]] = []
    for start, stop in sorted(spans):
        left, right = scale.x(start), scale.x(stop)
        if parts and left - parts[-1][1] < 0.5:
            parts[-1] = (parts[-1][0], max(right, parts[-1][1]))
        else:
            parts.append((left, right))
    return "".join(f"M{left:.1f} 0V{HEIGHT}H{max(right, left + 0.8):.1f}V0z" for left, right in parts)


def part_of(whole: Scale, part: Scale) -> str:
    """The SVG transform that shows a part of an axis of what was drawn for the whole of it."""
    stretch = (whole.frames - whole.first) / max(part.frames - part.first, 1)
    return f"scale({stretch:.5f} 1) translate({-whole.x(part.first):.4f} 0)"


def ticks(frames: Sequence[int], scale: Scale) -> str:
    """The path of vertical lines at frames; those that would coincide are drawn once."""
    places = sorted({round(scale.x(frame), 1) for frame in frames})
    return "".join(f"M{place:g} 0V{HEIGHT}" for place in places)
