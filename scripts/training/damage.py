"""Archive damage across a picture, drawn from random numbers: scratches, dust, hairs, stains, splices, cracks.

It lies on the film, above the picture: it is sharp where the face is blurred, and the codec comes after it. Lengths
are relative to the width of the picture, so the same damage is drawn at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

SMALLEST = 40
"""Side in pixels below which a picture cannot show damage that differs from noise."""
FRACTION_BITS = 4
"""OpenCV draws at sixteenths of a pixel."""

JITTER = 0.002
"""By how much the gate moves lines that stay from frame to frame, in widths of the picture (std)."""
STRETCHES = 24
"""Points that the course of a scratch has in a frame."""
WANDER = 0.0015
"""Most by which it goes aside from one of them to the next, in widths of the picture (std)."""

Layer = tuple[np.ndarray, np.ndarray]
"""Opacity (H, W) float32 in [0, 1], and the colour (3,) float32 in [0, 1] that covers the picture."""


def damage_picture(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cover a picture with one to three kinds of damage.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        rng: Decides kinds, places and colours.

    Returns:
        The damaged picture, and the opacity of what covers it, (H, W) float32 in [0, 1]. A picture smaller than
        `SMALLEST` is returned undamaged.
    """
    covered = np.zeros(picture.shape[:2], np.float32)
    if min(picture.shape[:2]) < SMALLEST:
        return picture, covered
    for _, opacity, colour in draw_damage(picture.shape[0], picture.shape[1], rng):
        picture = picture + opacity[..., None] * (colour - picture)
        covered = 1 - (1 - covered) * (1 - opacity)
    return picture.astype(np.float32), covered


def draw_damage(height: int, width: int, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """One to three kinds of damage, layer by layer from the lowest.

    Yields:
        The name of a kind of `KINDS`, opacity and colour as of `Layer`, blurred and faded as film shows them.
    """
    for kind in rng.choice(len(KINDS), size=rng.integers(1, 4), replace=False, p=KIND_SHARES):
        for opacity, colour in KINDS[kind](height, width, rng):
            soft = cv2.GaussianBlur(opacity, (0, 0), rng.uniform(0.3, 0.8)) * np.float32(rng.uniform(0.5, 1.0))
            yield KINDS[kind].__name__, soft, colour


def lasting_scratches(count: int, height: int, width: int, rng: np.random.Generator) -> Iterator[list[Layer]]:
    """One to four scratches that stay for all of `count` frames, interrupted or not as those of a frame are.

    Half of them have the same course in every frame: what scratched them moved with the film, or is dirt in the gate.
    The others were drawn along a strip that ran past something sharp: each frame shows the next stretch, and they move
    sideways, by 0.03 to 1 % of the width a frame. The gate adds a little of each frame's own.

    Yields:
        The layers of each frame, blurred and faded as film shows them.
    """
    lines = [_LastingScratch.draw(count, width, rng) for _ in range(rng.integers(1, 5))]
    for frame in range(count):
        weave = rng.normal(0, JITTER * width)
        yield [line.layer(frame, weave, height, width) for line in lines]


@dataclass(frozen=True, eq=False)
class _LastingScratch:
    """course: column at each of `STRETCHES` stretches of every frame; profile: how much of it shows there."""

    course: np.ndarray
    profile: np.ndarray
    thickness: float
    colour: np.ndarray
    faded: float
    blur: float

    @classmethod
    def draw(cls, count: int, width: int, rng: np.random.Generator) -> _LastingScratch:
        fixed = rng.random() < 0.5
        length = STRETCHES * (1 if fixed else count)
        speed = WANDER * (1.0 if fixed else 10 ** rng.uniform(-1.5, 0))
        course = rng.uniform(0, width) + np.cumsum(rng.normal(0, speed * width, length))
        profile = np.clip(rng.normal(0.4, 1.0, length), 0, 1) if rng.random() < 0.5 else np.ones(length)
        thickness, colour = rng.exponential(width / 250), _film_colour(rng)
        repeats = count if fixed else 1
        return cls(
            np.tile(course, repeats),
            np.tile(profile, repeats),
            thickness,
            colour,
            faded=rng.uniform(0.5, 1.0),
            blur=rng.uniform(0.3, 0.8),
        )

    def layer(self, frame: int, weave: float, height: int, width: int) -> Layer:
        part = slice(STRETCHES * frame, STRETCHES * frame + STRETCHES)
        rows = np.linspace(-1, height, STRETCHES)
        opacity = _line(height, width, np.stack([self.course[part] + weave, rows], axis=1), self.thickness)
        opacity *= np.interp(np.arange(height), rows, self.profile[part]).astype(np.float32)[:, None]
        return cv2.GaussianBlur(opacity, (0, 0), self.blur) * np.float32(self.faded), self.colour


def scratches(height: int, width: int, rng: np.random.Generator) -> list[Layer]:
    """Lines along the film, wavering by a pixel or two, some of them interrupted."""
    layers = []
    for _ in range(rng.integers(1, 5)):
        rows = np.linspace(-1, height, STRETCHES)
        wander = np.cumsum(rng.normal(0, WANDER * width, len(rows)))
        columns = rng.uniform(0, width) + wander + rng.normal(0, 0.03) * (rows - height / 2)
        opacity = _line(height, width, np.stack([columns, rows], axis=1), rng.exponential(width / 250))
        if rng.random() < 0.5:
            profile = cv2.resize(rng.normal(0.4, 1.0, (12, 1)).astype(np.float32), (1, height))
            opacity *= np.clip(profile, 0, 1)
        layers.append((opacity, _film_colour(rng)))
    return layers


def dust(height: int, width: int, rng: np.random.Generator) -> list[Layer]:
    """Specks of irregular outline, most of them tiny."""
    light, dark = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for _ in range(rng.integers(3, 40)):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = min(rng.exponential(width / 140) + 0.4, width / 16) * rng.uniform(0.4, 1.3, len(angles))
        centre = rng.uniform(0, 1, 2) * (width, height)
        outline = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(light if rng.random() < 0.5 else dark, [_fixed(outline)], 1.0, cv2.LINE_AA, FRACTION_BITS)
    return [(light, _grey(rng.uniform(0.85, 1.0))), (dark, _grey(rng.uniform(0.0, 0.15)))]


def hairs(height: int, width: int, rng: np.random.Generator) -> list[Layer]:
    """Curled fibres that lay on the film when it was copied."""
    layers = []
    for _ in range(rng.integers(1, 4)):
        points = _walk(height, width, rng, steps=30, step=rng.uniform(0.005, 0.02) * width, turn=0.25)
        layers.append((_line(height, width, points, width / 300), _grey(rng.choice([0.05, 0.95]))))
    return layers


def stains(height: int, width: int, rng: np.random.Generator) -> list[Layer]:
    """Water and mould: translucent spots with a rim."""
    layers = []
    for _ in range(rng.integers(1, 3)):
        coarse = cv2.GaussianBlur(rng.standard_normal((64, 64)).astype(np.float32), (0, 0), rng.uniform(4, 9))
        field = cv2.resize(coarse / coarse.std(), (width, height), interpolation=cv2.INTER_CUBIC)
        inside = np.clip((field - rng.uniform(1.0, 1.8)) / rng.uniform(0.1, 0.5), 0, 1)
        opacity = rng.uniform(0.1, 0.5) * inside + rng.uniform(0, 0.4) * 4 * inside * (1 - inside)
        layers.append((opacity.astype(np.float32), _film_colour(rng)))
    return layers


def splices(height: int, width: int, rng: np.random.Generator) -> list[Layer]:
    """A join of two strips: a ragged band across the picture, and sometimes a thin line beside it."""
    row, thickness = rng.uniform(0, height), rng.uniform(0.004, 0.05) * height
    ragged = cv2.resize(rng.normal(0, 0.15 * thickness, (1, 20)).astype(np.float32), (width, 1))
    rows = np.arange(height, dtype=np.float32)[:, None]
    band = np.clip(0.5 + thickness / 2 - np.abs(rows - row - ragged), 0, 1)
    layers = [(band * np.float32(rng.uniform(0.5, 1.0)), _film_colour(rng))]
    if rng.random() < 0.5:
        line = np.clip(0.5 + height / 400 - np.abs(rows - row - ragged - rng.normal(0, 2 * thickness)), 0, 1)
        layers.append((line, _grey(rng.choice([0.05, 0.95]))))
    return layers


def cracks(height: int, width: int, rng: np.random.Generator) -> list[Layer]:
    """Emulsion that broke: thin jagged lines that branch."""
    opacity, colour = np.zeros((height, width), np.float32), _film_colour(rng)
    trunk = _walk(height, width, rng, steps=40, step=rng.uniform(0.01, 0.03) * width, turn=0.7)
    opacity = np.maximum(opacity, _line(height, width, trunk, width / 250))
    for _ in range(rng.integers(0, 6)):
        branch = _walk(height, width, rng, steps=15, step=0.012 * width, turn=0.7)
        branch += trunk[rng.integers(len(trunk))] - branch[0]
        opacity = np.maximum(opacity, _line(height, width, branch, width / 400))
    return [(opacity, colour)]


KINDS: tuple[Callable[[int, int, np.random.Generator], list[Layer]], ...] = (
    scratches, dust, hairs, stains, splices, cracks
)  # fmt: skip
KIND_SHARES = (0.3, 0.3, 0.1, 0.1, 0.1, 0.1)


def _line(height: int, width: int, points: np.ndarray, thickness: float) -> np.ndarray:
    # OpenCV's lines are whole pixels wide; thinner ones are as much fainter.
    opacity = np.zeros((height, width), np.float32)
    strength, whole = min(1.0, 0.3 + thickness), max(1, round(thickness))
    cv2.polylines(opacity, [_fixed(points)], False, strength, whole, cv2.LINE_AA, FRACTION_BITS)
    return opacity


def _walk(height: int, width: int, rng: np.random.Generator, *, steps: int, step: float, turn: float) -> np.ndarray:
    directions = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, steps))
    moves = step * np.stack([np.cos(directions), np.sin(directions)], axis=1)
    return np.asarray(rng.uniform(0, 1, 2) * (width, height) + np.cumsum(moves, axis=0))


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * 2**FRACTION_BITS).astype(np.int32)


def _grey(level: float) -> np.ndarray:
    return np.full(3, level, np.float32)


def _film_colour(rng: np.random.Generator) -> np.ndarray:
    # Scratches are black on a print and white from a negative; deep scratches, into the emulsion, are tinted.
    if rng.random() < 0.75:
        return _grey(float(rng.choice([rng.uniform(0, 0.15), rng.uniform(0.8, 1.0)])))
    return rng.uniform([0.1, 0.3, 0.1], [0.9, 1.0, 0.8]).astype(np.float32)
