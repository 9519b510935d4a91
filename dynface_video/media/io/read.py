"""Frames of a video with their exact times: all of them in one pass, or any span."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from dynface_video.errors import RESTART, JobError
from dynface_video.media.io.container import open_input
from dynface_video.media.io.decode import DamageReport, decode_pictures, prepare, seek
from dynface_video.media.io.missing import MissingPictures, declares_length
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.sequence import SEQUENCE, read_sequence, read_sequence_span
from dynface_video.media.pixels.display import to_display
from dynface_video.media.pixels.fitting import PictureFitter
from dynface_video.media.pixels.frame import Frame
from dynface_video.media.timing.index import FrameIndex, SeekPoint, checksum
from dynface_video.media.timing.index import IndexBuilder as _Builder
from dynface_video.media.timing.timestamps import with_increasing_times

__all__ = ["Frame", "FrameIndex", "IndexBuilder", "read_frames", "read_span", "to_display"]

SEEK_ATTEMPTS = 3
FIXED_RATE = ("mpeg1video", "mpeg2video")
Warn = Callable[[str], None]


class IndexBuilder(_Builder):
    """Builds the `FrameIndex` of a video while `read_frames` runs."""

    def __init__(self, info: VideoInfo) -> None:
        super().__init__(info.time_base)


def read_frames(
    info: VideoInfo, *, index: IndexBuilder | None = None, on_warning: Warn | None = None
) -> Iterator[Frame]:
    """Read every frame of a video in presentation order, with strictly increasing times.

    A frame that cannot be decoded is replaced by the previous one, a missing or repeated time by an interpolated one.

    Args:
        info: The video.
        index: Collects what `read_span` needs; complete when the iteration ends.
        on_warning: Receives a message for each repair.

    Raises:
        InputError: The file can no longer be opened.
    """
    if info.format_name == SEQUENCE:
        yield from read_sequence(info, index, on_warning)
        return
    report, fitter = DamageReport(str(info.path), on_warning), PictureFitter(info)
    missing = MissingPictures(info)
    with open_input(info.path) as container:
        stream = _stream(container, info)
        pictures = decode_pictures(container, stream, report)
        timed = with_increasing_times(
            pictures, info.step, lambda pts, what: report(what, pts * info.time_base, once=True)
        )
        for number, (decoded, pts) in enumerate(timed):
            last, length = missing.last, decoded.picture.duration or 0
            gaps_count = info.codec in FIXED_RATE or decoded.after_damage
            gap = missing.see(pts, length, repeated=decoded.repeated, gaps_count=gaps_count)
            if last is not None and gap:
                report(f"frames missing here: {gap}", last * info.time_base)
            picture, fitted = fitter.fit(decoded.picture, decoded.aspect, _at(report, pts * info.time_base))
            if index is not None:
                index.add(picture, pts, entry=decoded.entry, repeated=decoded.repeated, fitted=fitted)
            yield Frame(number, pts, info.time_base, picture, info.colour)
    end = missing.end()
    if end:
        report(f"the pictures end {float(end):.3f} s before the file says they do; is it truncated or damaged?")
    report.close()
    if index is not None:
        missing.unreadable = report.unreadable and not declares_length(info)
        index.missing = missing.describe()


def read_span(
    info: VideoInfo, index: FrameIndex, start: int, stop: int, *, on_warning: Warn | None = None
) -> Iterator[Frame]:
    """Read the frames start .. stop - 1, identical to those of a full pass.

    Decoding begins at the nearest keyframe. Each picture is compared with the checksum in the index; if one differs
    (broken references, inexact seeking), decoding restarts from an earlier keyframe, finally from the beginning.

    Args:
        info: The video.
        index: Of a full pass.
        start: First frame.
        stop: One past the last frame.
        on_warning: Receives a message if frames differ even from the beginning.

    Raises:
        JobError: The frames no longer exist.
        ValueError: The span lies outside the index.
    """
    if not 0 <= start <= stop <= len(index.pts):
        raise ValueError(f"frames {start} to {stop} asked for, the video has {len(index.pts)}")
    if info.format_name == SEQUENCE:
        yield from read_sequence_span(info, index, start, stop, on_warning)
        return
    wanted = start
    for origin in _origins(index, start):
        for frame in _frames_from(origin, info, index, wanted, stop, on_warning):
            yield frame
            wanted = frame.index + 1
        if wanted == stop:
            return
    raise JobError(
        f"{info.path}: frame {wanted} at {float(index.pts[wanted] * info.time_base):.3f} s is not there any more; "
        f"has the file changed since it was analysed? {RESTART}"
    )


def _origins(index: FrameIndex, start: int) -> list[SeekPoint | None]:
    """Where to try to begin: the nearest keyframes at or before a frame, nearest first, then None, the beginning."""
    before = [point for point in index.seek_points if point.frame <= start]
    return [*before[: -SEEK_ATTEMPTS - 1 : -1], None]


def _frames_from(
    origin: SeekPoint | None, info: VideoInfo, index: FrameIndex, start: int, stop: int, on_warning: Warn | None
) -> Iterator[Frame]:
    """Frames start .. stop - 1, decoded from an origin; fewer when they differ from the index."""
    with open_input(info.path) as container:
        pictures = _pictures_from(origin, container, info)
        picture: av.VideoFrame | None = None
        differs = False
        for number in range(origin.frame if origin is not None else 0, stop):
            if number not in index.repeated or picture is None:
                picture = next(pictures, None)
                if picture is None:
                    return
                if (origin is not None or number >= start) and checksum(picture) != index.checksums[number]:
                    if origin is not None:
                        return
                    differs = True
            if number >= start:
                yield Frame(number, int(index.pts[number]), info.time_base, picture, info.colour)
    if differs and on_warning is not None:
        on_warning(f"{info.path}: frames {start} to {stop - 1} decode differently than when they were analysed")


def _pictures_from(origin: SeekPoint | None, container: InputContainer, info: VideoInfo) -> Iterator[av.VideoFrame]:
    """The decoder's pictures from the origin's on; none when seeking does not lead there."""
    stream = _stream(container, info)
    if origin is not None:
        try:
            seek(container, stream, origin.entry)
        except av.FFmpegError:
            return
    report, fitter = DamageReport(str(info.path), None), PictureFitter(info)
    arrived = origin is None
    for decoded in decode_pictures(container, stream, report):
        if decoded.repeated:
            continue
        if not arrived and origin is not None:
            # Pictures before a keyframe that need what came before it are broken here, and not wanted.
            if decoded.pts is not None and decoded.pts > origin.entry.pts:
                return
            arrived = decoded.pts == origin.entry.pts
        if arrived:
            yield fitter.fit(decoded.picture, decoded.aspect, report)[0]


def _at(report: DamageReport, time: Fraction) -> Warn:
    return lambda message: report(message, time)


def _stream(container: InputContainer, info: VideoInfo) -> VideoStream:
    stream = container.streams[info.stream_index]
    if not isinstance(stream, VideoStream):
        raise JobError(f"{info.path}: stream {info.stream_index} is no longer a video stream; has the file changed?")
    prepare(container, stream)
    return stream
