"""Two or more pictures of one moment in one picture, to be compared by eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dynface_video.config.times import format_time
from dynface_video.errors import InputError

MODES = ("side", "split", "flip")
GAP = 6
LABEL_SHARE, SMALLEST_LABEL = 0.045, 11
"""Height of the writing as a share of the picture's, and at least, pixels."""
INK, SHADE = (255, 255, 255), (0, 0, 0)
WIDEST = 4096
"""Pixels across a clip that players decode in hardware."""
SHEET_WIDTH = 640
"""Most pixels of a picture's width on a sheet."""


def check_mode(mode: str) -> None:
    """Raise InputError for a mode that is not one of `MODES`."""
    if mode not in MODES:
        raise InputError(f"compare is {mode!r}; it must be {', '.join(MODES[:-1])} or {MODES[-1]}")


def compared(pictures: Sequence[np.ndarray], labels: Sequence[str], mode: str, time: Fraction) -> np.ndarray:
    """Pictures of one moment in one.

    Args:
        pictures: (H, W, 3) uint8 RGB; all are brought to the size of the first.
        labels: What each is, written into its lower left corner.
        mode: "side" puts them beside each other, in several rows where one would be wider than `WIDEST`; "split" shows
            the left of the first and the right of the last, with a line between; "flip" shows one after the other, a
            second each.
        time: Seconds; decides which one "flip" shows.

    Returns:
        (H', W', 3) uint8.
    """
    same = [fitted(picture, pictures[0].shape[1], pictures[0].shape[0]) for picture in pictures]
    if mode == "flip":
        shown = int(time) % len(same)
        return labelled(same[shown], labels[shown])
    if mode == "split":
        return _split(labelled(same[0], labels[0]), labelled(same[-1], labels[-1], right=True))
    return _grid([labelled(picture, label) for picture, label in zip(same, labels, strict=True)])


def _grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    width, columns = pictures[0].shape[1], len(pictures)
    if columns * (width + GAP) - GAP > WIDEST:
        columns = math.ceil(math.sqrt(columns))
    largest = (WIDEST + GAP) // columns - GAP
    made = [narrowed(picture, largest) for picture in pictures]
    made += [np.zeros_like(made[0])] * (-len(made) % columns)
    return _below([beside(made[k : k + columns]) for k in range(0, len(made), columns)])


def _below(rows: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.zeros((GAP, rows[0].shape[1], 3), np.uint8)
    return np.concatenate([part for row in rows for part in (gap, row)][1:], axis=0)


def _split(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    middle = first.shape[1] // 2
    whole = np.concatenate([first[:, :middle], last[:, middle:]], axis=1)
    whole[:, max(middle - 1, 0) : middle + 1] = 255
    return whole


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one height in a row, with black between them."""
    gap = np.zeros((pictures[0].shape[0], GAP, 3), np.uint8)
    row = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(row, axis=1)


def sheet(rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], times: Sequence[Fraction]) -> np.ndarray:
    """Several moments, one below the other: (H, W, 3) uint8.

    Args:
        rows: The pictures of each moment, (H, W, 3) uint8.
        labels: What each picture of a row is.
        times: Of each row, seconds.
    """
    height, width = rows[0][0].shape[:2]
    scale = min(1.0, SHEET_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    made = []
    for pictures, time in zip(rows, times, strict=True):
        told = [f"{format_time(time)}  {label}" for label in labels]
        made.append(beside([labelled(fitted(p, *size), text) for p, text in zip(pictures, told, strict=True)]))
    return _below(made)


def narrowed(picture: np.ndarray, width: int | None) -> np.ndarray:
    """A picture of at most `width` pixels across; None for any."""
    if width is None or picture.shape[1] <= width:
        return picture
    return fitted(picture, width, max(1, round(picture.shape[0] * width / picture.shape[1])))


def fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture brought to a size."""
    if picture.shape[:2] == (height, width):
        return picture
    smaller = width < picture.shape[1]
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


def labelled(picture: np.ndarray, text: str, *, right: bool = False) -> np.ndarray:
    """A picture with a line of writing in its lower left, or right, corner."""
    height, width = picture.shape[:2]
    size = max(SMALLEST_LABEL, round(LABEL_SHARE * height))
    image = Image.fromarray(np.ascontiguousarray(picture))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    length, margin = draw.textlength(text, font), size // 2
    x = width - margin - length if right else margin
    place = (max(x, 0), height - 1.6 * size - margin / 2)
    draw.text(place, text, INK, font, stroke_width=max(1, size // 10), stroke_fill=SHADE)
    return np.array(image)
