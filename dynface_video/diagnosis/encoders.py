"""Which video encoders work on this machine: each encodes a picture, as drivers are found missing only then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext

from dynface_video.media.output.encoding import JOINABLE, open_encoder

TRIED = (*JOINABLE, "av1_nvenc")
SIDE = 256
"""Of the picture; hardware encoders refuse much smaller ones."""
SVT_LOG, ERRORS_ONLY = "SVT_LOG", "1"


def working_encoders() -> dict[str, str]:
    """The fault of each encoder by its name; empty if it works."""
    with _quiet_svt():
        return {name: _fault(name) for name in TRIED}


@contextmanager
def _quiet_svt() -> Iterator[None]:
    """SVT-AV1 writes its settings to standard error, whatever FFmpeg's log level, unless this variable is set."""
    before = os.environ.get(SVT_LOG)
    os.environ[SVT_LOG] = ERRORS_ONLY
    try:
        yield
    finally:
        if before is None:
            del os.environ[SVT_LOG]
        else:
            os.environ[SVT_LOG] = before


def _fault(name: str) -> str:
    try:
        codec = av.Codec(name, "w")
    except UnknownCodecError:
        return "not part of PyAV's FFmpeg"
    try:
        context = VideoCodecContext.create(codec, "w")
        assert isinstance(context, VideoCodecContext)
        context.width = context.height = SIDE
        context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
        context.options = JOINABLE.get(name, {})
        open_encoder(context)
        frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), 128, np.uint8), "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = 0, context.time_base
        packets = [*context.encode(frame), *context.encode(None)]
    except (av.FFmpegError, OSError, ValueError) as error:
        return f"cannot be started ({getattr(error, 'strerror', None) or error})"
    return "" if sum(packet.size for packet in packets) else "encodes nothing"
