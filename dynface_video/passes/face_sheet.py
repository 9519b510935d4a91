"""A picture of the people of a video: one good face of each, with its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dynface_video.config.times import format_time
from dynface_video.errors import InputError
from dynface_video.faces.landmarks import Square, cut_square, face_square
from dynface_video.media.io.files import complete_or_nothing
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import read_span, to_display
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.interlaced import deinterlaced_span
from dynface_video.passes.people import PersonSummary

TILE = 192
"""Side of a face in the picture, pixels."""
CAPTION = 44
MARGIN = 12
MOST_COLUMNS = 8
SURROUNDINGS = 1.7
"""Side of what is shown, in sides of the face."""
BACKGROUND, INK, FAINT, BADGE = (24, 24, 27), (244, 244, 245), (161, 161, 170), (37, 99, 235)


@dataclass(frozen=True, eq=False)
class Portrait:
    """A person and a good picture of its face, (TILE, TILE, 3) uint8 RGB."""

    person: PersonSummary
    picture: np.ndarray


def read_portraits(info: VideoInfo, analysis: Analysis) -> Iterator[Portrait]:
    """One good face of each person of a video, in the order of the numbers; reads one frame for each.

    Args:
        info: The video that was analysed.
        analysis: Of it.

    Raises:
        JobError: The video is another one.
    """
    warnings: list[str] = []
    for person in analysis.summarize_people():
        number = person.best.frame
        if info.interlaced:
            frames = deinterlaced_span(info, analysis, number, number + 1, warnings)
        else:
            frames = read_span(info, analysis.frames, number, number + 1, on_warning=warnings.append)
        for frame in frames:
            shown = to_display(frame.working_rgb(), info.display)
            face = face_square(person.best.landmarks.astype(np.float64))
            upright = Square(face.centre, SURROUNDINGS * face.side)
            yield Portrait(person, cut_square(shown, upright, TILE))


def draw_sheet(portraits: Sequence[Portrait]) -> Image.Image:
    """Lay portraits out in a grid, each with the person's number, times and size.

    Raises:
        ValueError: `portraits` is empty.
    """
    if not portraits:
        raise ValueError("no person to draw")
    columns = min(MOST_COLUMNS, ceil(sqrt(2 * len(portraits))))
    rows = ceil(len(portraits) / columns)
    width, height = TILE + MARGIN, TILE + CAPTION + MARGIN
    sheet = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), BACKGROUND)
    for i, portrait in enumerate(portraits):
        corner = (MARGIN + i % columns * width, MARGIN + i // columns * height)
        _draw_portrait(sheet, portrait, corner)
    return sheet


def _draw_portrait(sheet: Image.Image, portrait: Portrait, corner: tuple[int, int]) -> None:
    draw, (x, y), person = ImageDraw.Draw(sheet), corner, portrait.person
    sheet.paste(Image.fromarray(portrait.picture), corner)
    number, large, small = str(person.number), ImageFont.load_default(24), ImageFont.load_default(13)
    draw.rounded_rectangle((x + 6, y + 6, x + 22 + draw.textlength(number, large), y + 38), 6, BADGE)
    draw.text((x + 14, y + 8), number, INK, large)
    draw.text((x, y + TILE + 6), times_in_short(person, 2), INK, small)
    draw.text((x, y + TILE + 23), f"{person.frames} frames, {person.size:.0f} px", FAINT, small)


def check_picture_format(path: Path) -> str:
    """The format that a picture's extension names; raises InputError where it names none that can be written."""
    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise InputError(f"{path}: {path.suffix or 'no extension'} is not a picture format; use .png or .jpg")
    return kind


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture in the format of its extension, under its final name only when it is complete.

    Raises:
        InputError: The extension names no format, or the file cannot be written.
    """
    kind = check_picture_format(path)
    try:
        with complete_or_nothing(path) as partial:
            picture.save(partial, kind)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror or error})") from error


def times_in_short(person: PersonSummary, most: int) -> str:
    """When a person is seen: the first spans of time, and how many more there are."""
    spans = [f"{format_time(start)}-{format_time(stop)}" for start, stop in person.times]
    more = f" +{len(spans) - most}" if len(spans) > most else ""
    return ", ".join(spans[:most]) + more
