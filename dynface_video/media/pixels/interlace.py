"""Interlaced video: separate its fields into full pictures without combing, and weave them again.

A picture of two fields shows two moments. FFmpeg's bwdif makes a picture of each: the field's own lines unchanged, the
lines between interpolated from the field and its neighbours in time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import av.filter
import numpy as np

from dynface_video.errors import InputError
from dynface_video.media.io.probe import ColourInfo, VideoInfo
from dynface_video.media.io.read import Frame
from dynface_video.media.pixels.colour import convert, filter_graph, working_format, writable_copy
from dynface_video.media.pixels.planes import Planes

SMALLEST = (3, 4)


@dataclass(frozen=True, eq=False)
class Fields:
    """An interlaced frame and its two fields as pictures.

    Attributes:
        frame: As decoded.
        first: Earlier field, numbered 2 n.
        second: Later field, numbered 2 n + 1.
        top_first: Whether the first field has the even lines (0, 2, 4 ...).
    """

    frame: Frame
    first: Frame
    second: Frame
    top_first: bool


def resolve_interlaced(info: VideoInfo, choice: str) -> VideoInfo:
    """Decide whether a video is read as interlaced.

    Args:
        info: The video.
        choice: "auto" follows the first picture's flag, "keep" and "deinterlace" treat it as interlaced, "ignore" as
            progressive.

    Returns:
        The video with `interlaced` set.

    Raises:
        InputError: The pictures are too small to have fields.
    """
    interlaced = info.interlaced if choice == "auto" else choice != "ignore"
    if interlaced and (info.width < SMALLEST[0] or info.height < SMALLEST[1]):
        raise InputError(
            f"{info.path}: pictures of {info.width}x{info.height} are too small to be treated as interlaced; "
            "give --interlaced ignore"
        )
    return replace(info, interlaced=interlaced)


def split_fields(frames: Iterator[Frame]) -> Iterator[Fields]:
    """Separate the fields of each frame; at the ends the frame itself replaces the missing neighbour."""
    waiting: deque[Frame] = deque()
    made: list[av.VideoFrame] = []
    for picture in _filtered(frames, "mode=send_field:deint=all", waiting):
        made.append(picture)
        if len(made) == 2:
            frame = waiting.popleft()
            first, second = (replace(frame, index=2 * frame.index + k, picture=made[k]) for k in (0, 1))
            yield Fields(frame, first, second, _has_even_lines(frame.picture, made[0]))
            made.clear()


def first_fields(frames: Iterator[Frame], *, marked_only: bool) -> Iterator[Frame]:
    """Convert each frame to a progressive picture of its first field.

    Args:
        frames: In order.
        marked_only: Whether frames without the interlaced flag pass unchanged.
    """
    waiting: deque[Frame] = deque()
    kind = "interlaced" if marked_only else "all"
    for picture in _filtered(frames, f"mode=send_frame:deint={kind}", waiting):
        yield replace(waiting.popleft(), picture=picture)


def weave(fields: Fields, first: av.VideoFrame, second: av.VideoFrame) -> av.VideoFrame:
    """Weave the fields of two pictures into an interlaced one, with the side data and flags of the original."""
    picture = writable_copy(fields.frame.picture)
    target = Planes(picture, full=False)
    for start, source in ((0 if fields.top_first else 1, first), (1 if fields.top_first else 0, second)):
        planes = Planes(source, full=False)
        for component in range(target.count):
            target.samples(component)[start::2] = planes.samples(component)[start::2]
    return picture


def _filtered(frames: Iterator[Frame], options: str, waiting: deque[Frame]) -> Iterator[av.VideoFrame]:
    """bwdif's pictures; `waiting` takes the frames that go in. It needs the next frame before it gives one."""
    graph: av.filter.Graph | None = None
    for frame in frames:
        waiting.append(frame)
        picture = convert(frame.picture, working_format(frame.picture.format.name), ColourInfo())
        if graph is None:
            graph = filter_graph(picture, ("bwdif", f"{options}:parity=auto"))
        graph.push(picture)
        yield from _ready(graph)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _has_even_lines(picture: av.VideoFrame, field: av.VideoFrame) -> bool:
    # PyAV does not expose which field comes first; the field's own lines are those that the filter did not change.
    ours = Planes(convert(picture, working_format(picture.format.name), ColourInfo()), full=False)
    theirs = Planes(field, full=False)
    return all(
        np.array_equal(ours.samples(component)[0::2], theirs.samples(component)[0::2])
        for component in range(ours.count)
    )
