"""Encoding a span of frames as a segment that can be joined with others by copying packets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from dynface_video.errors import RESTART, JobError
from dynface_video.media.io.container import url
from dynface_video.media.io.files import complete_or_nothing
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame
from dynface_video.media.output.encoding import (
    EncodeSettings,
    choose_encoding,
    encoded_colour,
    open_encoder,
    set_up_encoder,
)
from dynface_video.media.pixels.colour import convert

__all__ = [
    "EncodeSettings",
    "choose_encoding",
    "read_segment",
    "segment_lead",
    "segment_ticks",
    "verify_segment",
    "write_segment",
]

AVFMT_FLAG_BITEXACT = 0x0400
LEAD_SECONDS = 3600
"""NUT knows no times below zero, which early sound or the decoding times of B-frames may have: segments begin later."""


def write_segment(path: Path, frames: Iterable[Frame], info: VideoInfo, settings: EncodeSettings) -> int:
    """Encode frames into a NUT file with their exact times.

    With joinable settings the file has no B-frames and begins with a keyframe, so segments of the same settings can be
    joined by copying packets. With a fixed number of threads the same frames give the same bytes. The file appears only
    when it is complete.

    Args:
        path: The segment.
        frames: In order.
        info: The source.
        settings: Of the encoder.

    Returns:
        The number of frames.

    Raises:
        OSError: The file cannot be written.
        JobError: Verification failed.
    """
    pts: list[int] = []
    with complete_or_nothing(path, shared=True) as partial:
        with av.open(url(partial), "w", format="nut") as container:
            # Neither a date nor a version may end up in the file.
            container.flags |= AVFMT_FLAG_BITEXACT
            _encode(container, frames, info, settings, pts)
        if not verify_segment(partial, pts, info.time_base):
            raise JobError(f"{path}: the segment was not written as it should be; is the disk full or failing?")
    return len(pts)


def _encode(
    container: OutputContainer, frames: Iterable[Frame], info: VideoInfo, settings: EncodeSettings, pts: list[int]
) -> None:
    stream = container.add_stream(settings.codec, rate=info.frame_rate or Fraction(25))
    if not isinstance(stream, VideoStream):
        raise JobError(f"{settings.codec} does not encode video")
    set_up_encoder(stream.codec_context, info, settings)
    stream.time_base = info.time_base
    open_encoder(stream.codec_context)
    colour = encoded_colour(info, settings.pixel_format)
    lead = segment_lead(info.time_base)
    for frame in frames:
        picture = convert(frame.picture, settings.pixel_format, colour)
        picture.pts, picture.time_base = frame.pts + lead, frame.time_base
        # The decoder's picture type would be taken as an order to the encoder.
        picture.pict_type = PictureType.NONE
        container.mux(stream.encode(picture))
        pts.append(frame.pts)
    container.mux(stream.encode(None))


def read_segment(path: Path, info: VideoInfo, first: int) -> Iterator[Frame]:
    """Read the frames of a segment with their original times.

    Args:
        path: The segment.
        info: The source.
        first: Number of its first frame in the video.

    Raises:
        JobError: It cannot be read.
    """
    try:
        with av.open(url(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for number, picture in enumerate(container.decode(stream), first):
                pts = _ticks(picture.pts, stream.time_base, info.time_base)
                if pts is None:
                    raise JobError(f"{path}: frame {number} of the video is not at its time; {RESTART}")
                yield Frame(number, pts, info.time_base, picture, info.colour)
    except av.FFmpegError as error:
        raise JobError(f"{path} cannot be read ({error.strerror}); {RESTART}") from error


def verify_segment(path: Path, pts: Sequence[int] | np.ndarray, time_base: Fraction) -> bool:
    """Whether a segment can be opened, begins with a keyframe and holds one frame for each of these times (ticks)."""
    try:
        with av.open(url(path)) as container:
            found = [ticks for _, ticks in segment_ticks(container, time_base)]
    except (av.FFmpegError, ValueError, IndexError):
        return False
    return None not in found and sorted(tick for tick in found if tick is not None) == [int(tick) for tick in pts]


def segment_ticks(container: InputContainer, time_base: Fraction) -> Iterator[tuple[Packet, int | None]]:
    """Read the packets of an open segment in decoding order, with their presentation times in ticks of the video.

    The time is None if it is not a whole number of ticks, and before the first keyframe.
    """
    begun = False
    for packet in container.demux(container.streams.video[0]):
        if packet.size:
            begun = begun or packet.is_keyframe
            yield packet, _ticks(packet.pts, packet.time_base, time_base) if begun else None


def _ticks(pts: int | None, base: Fraction | None, time_base: Fraction) -> int | None:
    if pts is None or base is None:
        return None
    ticks = pts * base / time_base - segment_lead(time_base)
    return int(ticks) if ticks.denominator == 1 else None


def segment_lead(time_base: Fraction) -> int:
    """Number of ticks by which times in segments are later than in the video."""
    return math.ceil(LEAD_SECONDS / time_base)
