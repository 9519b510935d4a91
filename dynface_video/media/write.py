"""Encoding a span of frames as a segment that can be joined with others by copying packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from dynface_video.errors import JobError
from dynface_video.media.colour import convert
from dynface_video.media.container import url
from dynface_video.media.encoding import EncodeSettings, choose_encoding, encoded_colour, set_up_encoder
from dynface_video.media.files import complete_or_nothing
from dynface_video.media.probe import VideoInfo
from dynface_video.media.read import Frame

__all__ = ["EncodeSettings", "choose_encoding", "segment_times", "verify_segment", "write_segment"]

AVFMT_FLAG_BITEXACT = 0x0400


def write_segment(path: Path, frames: Iterable[Frame], info: VideoInfo, settings: EncodeSettings) -> int:
    """Encode frames into a NUT file with their exact times; returns how many they were.

    The file has no B-frames and begins with a keyframe, so segments of the same settings join by copying packets. With
    one thread the same frames give the same bytes. It appears at `path` only when it is complete.
    Raises OSError when it cannot be written, JobError when what was written is not what was given.
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
    colour = encoded_colour(info, settings.pixel_format)
    for frame in frames:
        picture = convert(frame.picture, settings.pixel_format, colour)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        # The decoder's picture type would be taken as an order to the encoder.
        picture.pict_type = PictureType.NONE
        container.mux(stream.encode(picture))
        pts.append(frame.pts)
    container.mux(stream.encode(None))


def verify_segment(path: Path, pts: Sequence[int] | np.ndarray, time_base: Fraction) -> bool:
    """Whether a segment can be opened, begins with a keyframe and holds one frame for each of these times (ticks)."""
    try:
        with av.open(url(path)) as container:
            found = segment_times(container)
    except (av.FFmpegError, ValueError, IndexError):
        return False
    return found == [int(tick) * time_base for tick in pts]


def segment_times(container: InputContainer) -> list[Fraction]:
    """The times, in seconds, of an open segment's packets; empty when it does not begin with a keyframe."""
    times: list[Fraction] = []
    for packet in container.demux(container.streams.video[0]):
        if packet.size:
            if packet.pts is None or (not times and not packet.is_keyframe):
                return []
            times.append(packet.pts * packet.time_base)
    return times
