"""A part of a video by its times, read without decoding what is before it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

import av
from av.video.stream import VideoStream

from dynface_video.errors import InputError
from dynface_video.media.io.container import open_input
from dynface_video.media.io.decode import DamageReport, decode_pictures, prepare
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import read_frames
from dynface_video.media.io.sequence import SEQUENCE
from dynface_video.media.pixels.fitting import PictureFitter
from dynface_video.media.pixels.frame import Frame

LATE = Fraction(1)
"""Seconds after the wanted time: a first picture that comes later shows that seeking led too far."""


def read_excerpt(info: VideoInfo, start: Fraction, stop: Fraction) -> Iterator[Frame]:
    """The frames whose time from the video's beginning lies in [start, stop), numbered from 0.

    Decoding begins at the keyframe before them, or at the beginning where the file cannot be searched.

    Args:
        info: The video.
        start: Seconds.
        stop: Seconds.

    Raises:
        InputError: The video has no frame there.
    """
    frames = _from_beginning(info, start, stop) if info.format_name == SEQUENCE else _searched(info, start, stop)
    for number, frame in enumerate(frames):
        yield Frame(number, frame.pts, frame.time_base, frame.picture, frame.colour)


def _searched(info: VideoInfo, start: Fraction, stop: Fraction) -> Iterator[Frame]:
    found = _after_seeking(info, start, stop) if start > 0 else iter(())
    first = next(found, None)
    if first is None:
        yield from _from_beginning(info, start, stop)
    else:
        yield from chain([first], found)


def _after_seeking(info: VideoInfo, start: Fraction, stop: Fraction) -> Iterator[Frame]:
    """The frames after seeking; none where that leads too far."""
    with open_input(info.path) as container:
        stream = container.streams[info.stream_index]
        if not isinstance(stream, VideoStream) or stream.start_time is None:
            return
        prepare(container, stream)
        origin, begun = stream.start_time, False
        try:
            container.seek(origin + int(start / info.time_base), stream=stream, backward=True)
        except av.FFmpegError:
            return
        report, fitter = DamageReport(str(info.path), None), PictureFitter(info)
        for decoded in decode_pictures(container, stream, report):
            if decoded.pts is None or decoded.repeated:
                continue
            time = (decoded.pts - origin) * info.time_base
            if time >= stop or (not begun and time > start + LATE):
                return
            if time >= start:
                begun = True
                picture, _ = fitter.fit(decoded.picture, decoded.aspect, report)
                yield Frame(0, decoded.pts, info.time_base, picture, info.colour)


def _from_beginning(info: VideoInfo, start: Fraction, stop: Fraction) -> Iterator[Frame]:
    origin: int | None = None
    found = False
    for frame in read_frames(info):
        origin = frame.pts if origin is None else origin
        time = (frame.pts - origin) * info.time_base
        if time >= stop:
            break
        if time >= start:
            found = True
            yield frame
    if not found:
        raise InputError(f"{info.path} has no frame at {float(start):g} s")
