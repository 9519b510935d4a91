"""Joining restored segments with everything else in the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from dynface_video.errors import RESTART, InputError, JobError
from dynface_video.media.io.container import TAG_ERRORS, is_cover, open_input, url
from dynface_video.media.io.files import complete_or_nothing
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.sequence import SEQUENCE
from dynface_video.media.output.carry import (
    FILE_TAGS,
    TRACK_TAGS,
    LeftOut,
    StreamCarrier,
    carry_tags,
    has_timecode,
    kept_tags,
    timecode_of,
)
from dynface_video.media.output.encoding import container_format, encoded_colour
from dynface_video.media.output.picture_messages import Message, PictureMessages, read_messages, with_messages
from dynface_video.media.output.stream_copy import joined_header
from dynface_video.media.output.write import segment_ticks

__all__ = ["AssemblyReport", "LeftOut", "assemble", "lost_messages"]

LARGEST_TIMESCALE = 2**31 - 1
LONGEST_LAST_FRAME = 10


@dataclass(frozen=True)
class AssemblyReport:
    """What was written.

    Attributes:
        frames: Their number.
        left_out: Parts of the source that the output's container could not hold.
    """

    frames: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """A message for each part that was left out."""
        return tuple(str(item) for item in self.left_out)


def assemble(segments: Sequence[Path], info: VideoInfo, target: Path, pts: np.ndarray) -> AssemblyReport:
    """Write the output: the segments' packets at the times `pts`, every other stream of the source byte for byte.

    Chapters, tags, dispositions, attachments, colour tags, sample aspect ratio and display matrix are kept; parts that
    the container cannot hold are listed in the report. The target appears only when it is complete and its frames are
    counted.

    Args:
        segments: In order, all with the same encoder settings.
        info: The source.
        target: The output.
        pts: (N,) ticks of info.time_base, one per frame.

    Raises:
        InputError: The container is not supported or cannot hold the video.
        JobError: The segments do not match `pts`, or verification of the output failed.
        OSError: The output cannot be written.
    """
    container = container_format(target)
    if not segments:
        raise JobError(f"{info.path}: there are no segments to join; the video has {len(pts)} frames")
    # A worker of a driver that was killed may still be at the same file.
    with complete_or_nothing(target, shared=True) as partial:
        written = _write(partial, container, segments, info, pts)
        lost_tags = _check(partial, info, pts, written)
    return AssemblyReport(len(pts), (*written.left_out, *lost_tags))


@dataclass(frozen=True)
class _Written:
    """What should be in the file. video: the restored stream's place among the streams of moving pictures."""

    left_out: list[LeftOut]
    tags: set[str]
    video: int


@dataclass(frozen=True, eq=False)
class _Video:
    """The restored video to be joined.

    Attributes:
        segments: In order.
        info: The source.
        pts: (N,) ticks of info.time_base, one per frame.
        order: Number of the frame in each packet.
        headers: The distinct headers of the segments.
        messages: Messages of the source's pictures.
    """

    segments: Sequence[Path]
    info: VideoInfo
    pts: np.ndarray
    order: list[int]
    headers: Sequence[bytes]
    messages: PictureMessages


def _write(path: Path, container: str, segments: Sequence[Path], info: VideoInfo, pts: np.ndarray) -> _Written:
    try:
        order, headers = _presentation_order(segments, info, pts)
        video = _Video(segments, info, pts, order, headers, read_messages(info, pts))
        with _open_source(info) as source, _open_output(path, container, info, source, order) as output:
            return _fill(video, source, output)
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise JobError(f"{info.path}: the output could not be written ({error.strerror or error})") from error


def _open_source(info: VideoInfo) -> AbstractContextManager[InputContainer | None]:
    """The source's file; images have nothing that could be carried along."""
    return nullcontext() if info.format_name == SEQUENCE else open_input(info.path)


def _fill(video: _Video, source: InputContainer | None, output: OutputContainer) -> _Written:
    info = video.info
    with av.open(url(video.segments[0])) as first:
        template = first.streams.video[0]
        if source is None:
            added = _add_video(output, template, info, None, video.headers)
            for packet in _video_packets(video, added):
                output.mux(packet)
            return _Written([], set(), 0)
        carrier = StreamCarrier(source, output, info.stream_index)
        carry_tags(source, output)
        timecode = timecode_of(source) or (None if has_timecode(source) else info.timecode)
        if timecode is not None:
            output.metadata["timecode"] = timecode
        place, target = 0, None
        for stream in source.streams:
            if stream.index == info.stream_index:
                place = len(_moving(output))
                target = _add_video(output, template, info, stream, video.headers)
            else:
                carrier.add(stream)
    if target is None:
        raise JobError(f"{info.path}: stream {info.stream_index} is gone; has the file changed?")
    for packet in _merged(_video_packets(video, target), carrier.packets()):
        _mux(output, packet, carrier, is_video=packet.stream is target)
    carrier.close()
    left_out = carrier.left_out + lost_messages(video.messages, target.codec_context.codec.canonical_name)
    return _Written(left_out, set(kept_tags(source.metadata, FILE_TAGS)), place)


def lost_messages(messages: PictureMessages, codec: str) -> list[LeftOut]:
    """List the messages of pictures that a codec cannot hold.

    Args:
        messages: Of the source.
        codec: FFmpeg's canonical name, "" for images.
    """
    holder = f"{codec} pictures" if codec else "a folder of images"
    lost = [
        LeftOut(f"{name} of {count} pictures", f"{holder} cannot hold it")
        for name, count in sorted(messages.lost(codec).items())
    ]
    unplaced = sorted(messages.unplaced.items())
    return lost + [LeftOut(f"{name} of {count} packets", "their times had to be repaired") for name, count in unplaced]


def _moving(container: InputContainer | OutputContainer) -> list[VideoStream]:
    return [stream for stream in container.streams.video if not is_cover(stream)]


def _open_output(
    path: Path, container: str, info: VideoInfo, source: InputContainer | None, order: list[int]
) -> OutputContainer:
    # Otherwise sound that begins before zero (an encoder's delay) would move every stream of the file.
    options = {"avoid_negative_ts": "disabled"}
    if container in ("mp4", "mov"):
        # Edit lists count in this unit: with the default, a millisecond, a late start would be rounded.
        options["movie_timescale"] = str(_movie_timescale(info, source))
        if _delay(order):
            # Decoding times below zero would cost some late starts their edit list.
            options["movflags"] = "negative_cts_offsets"
    else:
        options["default_mode"] = "passthrough"
    return av.open(url(path), "w", format=container, container_options=options, metadata_errors=TAG_ERRORS)


def _movie_timescale(info: VideoInfo, source: InputContainer | None) -> int:
    scale = info.time_base.denominator
    for stream in source.streams.audio if source is not None else ():
        common = math.lcm(scale, (stream.time_base or Fraction(1)).denominator)
        scale = common if common <= LARGEST_TIMESCALE else scale
    return min(scale, LARGEST_TIMESCALE)


def _add_video(
    output: OutputContainer, template: VideoStream, info: VideoInfo, old: Stream | None, headers: Sequence[bytes]
) -> VideoStream:
    try:
        stream = output.add_stream_from_template(template, opaque=True)
    except ValueError as error:
        raise InputError(f"{output.name}: {error}") from error
    stream.time_base = info.time_base
    context = stream.codec_context
    if len(headers) > 1:
        context.extradata = joined_header(headers)
    colour = encoded_colour(info, context.pix_fmt or info.pixel_format)
    context.colorspace, context.color_primaries = colour.matrix, colour.primaries
    context.color_trc, context.color_range = colour.transfer, colour.range
    context.framerate = info.frame_rate or Fraction(25)
    if info.sample_aspect_ratio != 1:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    stream.set_display_matrix(info.display_matrix)
    if old is not None:
        stream.metadata.update(kept_tags(old.metadata, TRACK_TAGS))
        stream.disposition = old.disposition
    return stream


def _delay(order: list[int]) -> int:
    """By how many frames decoding must begin earlier than showing."""
    return max((position - place for position, place in enumerate(order)), default=0)


def _video_packets(video: _Video, stream: VideoStream) -> Iterator[Packet]:
    """The segments' packets at their times, with the messages of the source's pictures.

    Segments have no decoding times; they are the presentation times in order, early enough for every packet.
    """
    info, pts, order = video.info, video.pts, video.order
    delay, codec = _delay(order), stream.codec_context.codec.canonical_name
    position = 0
    for path in video.segments:
        with av.open(url(path)) as container:
            for coded, _ in segment_ticks(container, info.time_base):
                place, decoded = order[position], position - delay
                packet = _with_messages(coded, video.messages.of_frame.get(place, []), codec)
                packet.time_base = info.time_base
                packet.pts = int(pts[place])
                packet.dts = int(pts[decoded]) if decoded >= 0 else int(pts[0]) + decoded * info.step
                packet.duration = _duration(info, pts, place)
                packet.stream = stream
                yield packet
                position += 1


def _with_messages(packet: Packet, messages: list[Message], codec: str) -> Packet:
    if not messages:
        return packet
    changed = Packet(with_messages(bytes(packet), messages, codec))
    changed.is_keyframe = packet.is_keyframe
    return changed


def _presentation_order(
    segments: Sequence[Path], info: VideoInfo, pts: np.ndarray
) -> tuple[list[int], Sequence[bytes]]:
    """The number of the frame in each packet, and the different headers of segments.

    Raises JobError when the frames are not those of the video.
    """
    found: list[int] = []
    headers: dict[bytes, None] = {}
    for path in segments:
        with av.open(url(path)) as container:
            headers[bytes(container.streams.video[0].codec_context.extradata or b"")] = None
            for _, ticks in segment_ticks(container, info.time_base):
                if ticks is None:
                    raise JobError(f"{path}: frame {len(found)} of the video has no time; {RESTART}")
                found.append(ticks)
    if len(found) != len(pts):
        raise JobError(f"the segments hold {len(found)} frames, the video has {len(pts)}; {RESTART}")
    places = {int(tick): number for number, tick in enumerate(pts)}
    for number, tick in enumerate(sorted(found)):
        if places.get(tick) != number:
            raise JobError(f"frame {number} of the video is not at its time in the segments; {RESTART}")
    return [places[tick] for tick in found], list(headers)


def _duration(info: VideoInfo, pts: np.ndarray, number: int) -> int:
    if number + 1 < len(pts):
        return int(pts[number + 1] - pts[number])
    # The durations that other formats give are guesses, or reach to the end of the sound.
    if info.duration is not None and "mp4" in info.format_name:
        left = round(info.duration / info.time_base) - int(pts[-1] - pts[0])
        if 0 < left <= LONGEST_LAST_FRAME * info.step:
            return left
    return info.step


def _merged(video: Iterator[Packet], others: Iterator[Packet]) -> Iterator[Packet]:
    """Both in the order of their decoding times, so that the muxer need not hold much back."""
    waiting = next(video, None)
    for other in others:
        while waiting is not None and _seconds(waiting) <= _seconds(other):
            yield waiting
            waiting = next(video, None)
        yield other
    if waiting is not None:
        yield waiting
    yield from video


def _seconds(packet: Packet) -> float:
    return float((packet.dts or 0) * packet.time_base)


def _mux(output: OutputContainer, packet: Packet, carrier: StreamCarrier, *, is_video: bool) -> None:
    try:
        output.mux(packet)
    except av.FFmpegError as error:
        if is_video or isinstance(error, OSError):
            raise
        carrier.refuse(packet, error.strerror or str(error))


def _check(path: Path, info: VideoInfo, pts: np.ndarray, written: _Written) -> list[LeftOut]:
    """Which tags did not make it; raises JobError unless each frame is at its time.

    At its time is exactly, or within a tick where the file's own ticks are coarser than the source's.
    """
    with open_input(path) as container:
        stream = _moving(container)[written.video]
        found = sorted(p.pts for p in container.demux(stream) if p.size and p.pts is not None)
        base = stream.time_base or Fraction(1)
        tags = {tag.lower() for tag in container.metadata}
    exact = (info.time_base / base).denominator == 1
    allowed = 0 if exact else base
    if len(found) != len(pts):
        raise JobError(f"the output came out with {len(found)} frames instead of {len(pts)}; it was not kept")
    for number, (ours, wanted) in enumerate(zip(found, pts.tolist(), strict=True)):
        if abs(ours * base - wanted * info.time_base) > allowed:
            raise JobError(
                f"frame {number} of the output came out at {float(ours * base):.6f} s instead of "
                f"{float(wanted * info.time_base):.6f} s; it was not kept"
            )
    lost = sorted(tag for tag in written.tags if tag.lower() not in tags)
    return [LeftOut(f"the tag {tag}", f"{container.format.name} has no place for it") for tag in lost]
