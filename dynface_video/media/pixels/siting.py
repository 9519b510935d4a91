"""Position of chroma samples among the luma samples: from a stream's headers to offsets, and for the encoders.

PyAV does not expose it. FFmpeg's bitstream filter trace_headers logs every field of an H.264 or HEVC header, including
this one.
"""

from __future__ import annotations

import re

import av
import av.logging
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream

LEFT, CENTRE, TOP_LEFT = 0, 1, 2
"""Of the six sitings of H.264, by its numbers: left (the default), centre, top left, top, bottom
left, bottom."""
BY_CODEC = {"mpeg1video": CENTRE, "mjpeg": CENTRE, "dvvideo": TOP_LEFT}
"""Sitings that a codec's standard fixes; those of all others are left."""
TOLD = ("h264", "hevc")
SHARES = {0: (0.0, 0.5), 1: (0.5, 0.5), 2: (0.0, 0.0), 3: (0.5, 0.0), 4: (0.0, 1.0), 5: (0.5, 1.0)}
FIELD = re.compile(r"chroma_sample_loc_type_top_field\s+[01]+ = (\d)")


def chroma_siting(container: InputContainer, stream: VideoStream, codec: str) -> int:
    """Chroma siting of a newly opened stream, by H.264's number; reads its first packet."""
    if codec not in TOLD:
        return BY_CODEC.get(codec, LEFT)
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as log:
            spelling = BitStreamFilterContext("trace_headers", stream)
            packet = next((packet for packet in container.demux(stream) if packet.size), None)
            if packet is not None:
                spelling.filter(packet)
    except av.FFmpegError:
        # A damaged header is decoded as far as it goes; the usual siting is as good as any.
        return LEFT
    finally:
        av.logging.set_level(before)
    found = FIELD.search("".join(message for _, _, message in log))
    return min(int(found[1]), 5) if found else LEFT


def offsets(siting: int, subsampling: tuple[int, int]) -> tuple[float, float]:
    """Offset of a chroma sample from its first luma sample, right and down, in luma samples.

    Args:
        siting: By H.264's number.
        subsampling: Base-2 logarithms, horizontal and vertical.
    """
    across, down = SHARES[siting]
    return across * ((1 << subsampling[0]) - 1), down * ((1 << subsampling[1]) - 1)
