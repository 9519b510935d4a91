"""Properties of a video file, from its headers and its first picture."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from dynface_video.errors import InputError
from dynface_video.media.io.container import find_video_stream, is_cover, open_input
from dynface_video.media.io.cropping import NO_CROP, Crop, container_crop
from dynface_video.media.io.timecode import picture_timecode
from dynface_video.media.pixels.display import DisplayGeometry, display_geometry
from dynface_video.media.pixels.formats import subsampling_of
from dynface_video.media.pixels.hdr import NO_MASTERING_DATA, MasteringData, mastering_data, side_data
from dynface_video.media.pixels.siting import chroma_siting

__all__ = ["ColourInfo", "DisplayGeometry", "StreamInfo", "VideoInfo", "probe"]

RGB, UNSPECIFIED, RESERVED = 0, 2, 3
BT709, BT601 = 1, 6
LIMITED, FULL = 1, 2
TALLEST_SD = 576
BITSTREAM_ONLY = ("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v", "vc1")
"""Formats without a sample aspect ratio of their own: only the bitstream has it."""
ALWAYS_TRANSPARENT = ("gif",)
"""Decoders that give transparent pictures whether the file has transparency or not."""
FULL_RANGE_FORMATS = ("yuvj", "gray", "ya", "rgb", "bgr", "gbr", "argb", "abgr", "pal", "mono", "0rgb", "0bgr")


@dataclass(frozen=True)
class ColourInfo:
    """Colour tags of a stream, by FFmpeg's numbers; 2 is unspecified, except for the range, where it is 0.

    Attributes:
        matrix: Of luma and chroma.
        primaries: Of red, green and blue.
        transfer: Transfer function.
        range: 1 limited (16-235 at 8 bits), 2 full.
        siting: Position of chroma samples, by H.264's number; 0 is left.
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0
    siting: int = 0

    def resolved(self, height: int) -> ColourInfo:
        """Tags to compute with: an unspecified matrix is BT.601 up to 576 lines and BT.709 above, the range limited."""
        matrix = self.matrix
        if matrix in (RGB, UNSPECIFIED, RESERVED):
            matrix = BT601 if height <= TALLEST_SD else BT709
        return ColourInfo(matrix, self.primaries, self.transfer, self.range or LIMITED, self.siting)


@dataclass(frozen=True)
class StreamInfo:
    """A stream other than the one to restore.

    Attributes:
        index: Among all streams.
        kind: audio, subtitle, data, attachment, video, or cover (a picture).
        codec: FFmpeg's canonical name.
        language: By its tag.
        title: By its tag.
    """

    index: int
    kind: str
    codec: str
    language: str | None
    title: str | None = None


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """A video file and its video stream.

    Attributes:
        path: The file, or a folder of images.
        format_name: FFmpeg's name of the container; `SEQUENCE` for images.
        stream_index: Of the video stream among all streams.
        codec: FFmpeg's name of the decoder.
        width: Of the stored picture, without what the container crops.
        height: As `width`.
        pixel_format: FFmpeg's name.
        time_base: Seconds a tick.
        frame_rate: Frames a second, the mean where it varies.
        declared_frames: As the file says, None where it does not.
        duration: Seconds, as the file says, None where it does not.
        sample_aspect_ratio: Width of a sample divided by its height.
        colour: Tags of the first picture.
        display: How a stored picture is to be shown.
        others: Every other stream.
        interlaced: Whether the first picture is.
        display_matrix: Nine integers as FFmpeg holds them.
        mastering: Of high dynamic range.
        bit_rate: Of the video stream, bits a second, None where the file does not tell it.
        crop: What the container hides of each decoded picture.
        coded_aspect: Sample aspect ratio of the first picture by the bitstream, which the container's overrides.
        timecode: Of the first picture, by the bitstream.
        opaque: Whether a decoder that always gives transparency has none to give.
    """

    path: Path
    format_name: str
    stream_index: int
    codec: str
    width: int
    height: int
    pixel_format: str
    time_base: Fraction
    frame_rate: Fraction | None
    declared_frames: int | None
    duration: Fraction | None
    sample_aspect_ratio: Fraction
    colour: ColourInfo
    display: DisplayGeometry
    others: tuple[StreamInfo, ...]
    interlaced: bool = False
    display_matrix: tuple[int, ...] | None = None
    mastering: MasteringData = NO_MASTERING_DATA
    bit_rate: int | None = None
    crop: Crop = NO_CROP
    coded_aspect: Fraction = Fraction(1)
    timecode: str | None = None
    opaque: bool = False

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height of the first decoded picture."""
        crop = self.crop
        return self.width + crop.left + crop.right, self.height + crop.top + crop.bottom

    @property
    def step(self) -> int:
        """Ticks from one frame to the next at the nominal rate, at least 1."""
        rate = self.frame_rate or Fraction(25)
        return max(1, round(1 / (rate * self.time_base)))


def probe(path: Path) -> VideoInfo:
    """Read the properties of a video file.

    Raises:
        InputError: The file is missing, a folder, empty or not a video, has no video stream (cover art does not count),
            or no picture of it can be decoded.
    """
    with open_input(path) as container:
        stream = find_video_stream(container, path)
        siting = chroma_siting(container, stream, _codec_name(stream))
    with open_input(path) as container:
        stream = find_video_stream(container, path)
        picture = _first_picture(container, stream, path)
        matrix = picture_matrix(picture)
        ratio = _sample_aspect_ratio(container, stream)
        crop = _crop(container, stream, path, picture)
        width, height = crop.size(picture.width, picture.height)
        return VideoInfo(
            path=path,
            format_name=container.format.name,
            stream_index=stream.index,
            codec=_codec_name(stream),
            width=width,
            height=height,
            pixel_format=picture.format.name,
            time_base=stream.time_base or Fraction(1, 90000),
            frame_rate=_positive(stream.average_rate) or _positive(stream.guessed_rate),
            declared_frames=stream.frames or None,
            duration=_duration(container, stream),
            sample_aspect_ratio=ratio,
            colour=replace(_colour(picture, stream), siting=siting),
            display=display_geometry(width, height, ratio, matrix),
            others=tuple(_stream_info(other) for other in container.streams if other.index != stream.index),
            interlaced=picture.interlaced_frame,
            display_matrix=matrix,
            mastering=mastering_data(picture),
            bit_rate=_bit_rate(container, stream),
            crop=crop,
            coded_aspect=coded_aspect(stream),
            opaque=_is_opaque(stream, picture),
            timecode=picture_timecode(picture, _positive(stream.average_rate)),
        )


def _first_picture(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    stream.codec_context.thread_count = 1
    reason = "no packet of it can be read"
    try:
        for packet in container.demux(stream):
            try:
                for picture in stream.decode(packet):
                    return picture
            except av.FFmpegError as error:
                reason = error.strerror or str(error)
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
    raise InputError(f"{path}: not one picture of its video stream can be decoded ({reason})")


def _colour(picture: av.VideoFrame, stream: VideoStream) -> ColourInfo:
    own, context = picture_colour(picture), stream.codec_context
    matrix, primaries, transfer = (
        found if found != UNSPECIFIED else int(declared)
        for found, declared in (
            (own.matrix, context.colorspace),
            (own.primaries, context.color_primaries),
            (own.transfer, context.color_trc),
        )
    )
    return ColourInfo(matrix, primaries, transfer, picture.color_range or context.color_range or own.range)


def picture_colour(picture: av.VideoFrame) -> ColourInfo:
    """Colour tags of a decoded picture; RGB and grey have the full range unless tagged otherwise."""
    extent = picture.color_range
    if not extent and picture.format.name.startswith(FULL_RANGE_FORMATS):
        extent = FULL
    return ColourInfo(int(picture.colorspace), int(picture.color_primaries), int(picture.color_trc), int(extent))


def picture_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    """Display matrix of a decoded picture, nine integers; None if it has none."""
    matrix = side_data(picture, "DISPLAYMATRIX")
    return None if matrix is None else struct.unpack("=9i", matrix[:36])


def coded_aspect(stream: VideoStream) -> Fraction:
    """Sample aspect ratio by the bitstream at the current decoding position; 1 if it gives none."""
    return _plausible_aspect(stream.codec_context.sample_aspect_ratio)


def _crop(container: InputContainer, stream: VideoStream, path: Path, picture: av.VideoFrame) -> Crop:
    size = (picture.width, picture.height)
    across, down = subsampling_of(picture.format)
    # Two fields share no chroma line.
    crop = container_crop(container, stream, path, size).aligned(1 << across, 1 << down + picture.interlaced_frame)
    return crop if min(crop.size(*size)) > 0 else NO_CROP


def _sample_aspect_ratio(container: InputContainer, stream: VideoStream) -> Fraction:
    if container.format.name in BITSTREAM_ONLY:
        # FFmpeg has read ahead, and its values may be of a later part.
        return coded_aspect(stream)
    return _plausible_aspect(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio)


def _plausible_aspect(ratio: Fraction | None) -> Fraction:
    # A damaged header must not ask for a display picture of a million columns.
    return ratio if ratio and Fraction(1, 10) <= ratio <= 10 else Fraction(1)


def _positive(rate: Fraction | None) -> Fraction | None:
    return rate if rate and rate > 0 else None


def own_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Seconds that the file gives for the video stream itself; None where it gives only those of its longest stream."""
    if stream.duration and stream.time_base:
        # Of an AVI that was cut off FFmpeg gives what is left; its header counts the frames.
        frames = stream.frames if container.format.name == "avi" else 0
        return max(stream.duration, frames) * stream.time_base
    tagged = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tagged:
        return int(tagged[1]) * 3600 + int(tagged[2]) * 60 + Fraction(tagged[3])
    return None


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    own = own_duration(container, stream)
    if own is not None:
        return own
    return Fraction(container.duration, av.time_base) if container.duration else None


def _bit_rate(container: InputContainer, stream: VideoStream) -> int | None:
    """The stream's own; else what the file leaves for it, the whole less the other streams that tell theirs."""
    if stream.codec_context.bit_rate:
        return int(stream.codec_context.bit_rate)
    others = sum(s.codec_context.bit_rate or 0 for s in container.streams.audio if s.codec_context is not None)
    return max(int(container.bit_rate) - others, 1) if container.bit_rate else None


def _codec_name(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else (stream.name or "unknown")


def _is_opaque(stream: VideoStream, picture: av.VideoFrame) -> bool:
    if _codec_name(stream) not in ALWAYS_TRANSPARENT or not picture.format.name.endswith("a"):
        return False
    return bool(picture.to_ndarray()[..., 3].min() == 255)


def _stream_info(stream: Stream) -> StreamInfo:
    kind = "cover" if isinstance(stream, VideoStream) and is_cover(stream) else stream.type
    context = stream.codec_context
    codec = (stream.name or "unknown") if context is None else context.codec.canonical_name
    return StreamInfo(stream.index, kind, codec, stream.language, stream.metadata.get("title"))
