"""Short clips for the page: before and after, side by side, in a form that every browser plays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from dynface_video.media.io.files import complete_or_nothing
from dynface_video.media.io.probe import VideoInfo, probe
from dynface_video.media.io.read import Frame, read_span
from dynface_video.media.pixels.display import to_display
from dynface_video.media.timing.index import FrameIndex
from dynface_video.passes.interlaced import deinterlaced_span
from dynface_video.passes.restore import PassContext, Work
from dynface_video.passes.span import restored_span

WIDEST = 1280
"""Most pixels across one of the two pictures."""
CLOCK = 90_000
"""Ticks a second of a clip."""
TOLERANCE = 1e-6
"""Seconds by which a time as a float may miss a frame's exact time."""
BT709, LIMITED_RANGE = 1, 1
CRF = 18


@dataclass(frozen=True, eq=False)
class Pair:
    """A moment before and after: its time in seconds, and two pictures (H, W, 3) uint8 RGB of one size."""

    time: Fraction
    before: np.ndarray
    after: np.ndarray


def frames_between(index: FrameIndex, start: float, seconds: float) -> tuple[int, int]:
    """The frames (first, one past the last) of a span of time; at least one.

    Args:
        index: Of the video.
        start: Seconds from the first frame; past the end, the last frame is taken.
        seconds: The span's length.
    """
    times = (index.pts - index.pts[0]) * float(index.time_base)
    first = min(int(np.searchsorted(times, start - TOLERANCE)), len(times) - 1)
    return first, max(first + 1, int(np.searchsorted(times, start + seconds - TOLERANCE)))


def preview_pairs(context: PassContext, start: int, stop: int, work: Work) -> Iterator[Pair]:
    """The frames start .. stop - 1 as they are, and restored.

    Args:
        context: The video, its whole analysis, and what restores it.
        start: The first frame.
        stop: One past the last.
        work: Gets what was done.
    """
    warnings: list[str] = []
    before = _source_frames(context, start, stop, warnings)
    after = restored_span(context, start, stop, keep_fields=False, work=work, warnings=warnings)
    for source, restored in zip(before, after, strict=True):
        yield Pair(source.time, _shown(source, context.info), _shown(restored, context.info))


def _source_frames(context: PassContext, start: int, stop: int, warnings: list[str]) -> Iterator[Frame]:
    if context.info.interlaced:
        return iter(deinterlaced_span(context.info, context.analysis, start, stop, warnings))
    return read_span(context.info, context.analysis.frames, start, stop, on_warning=warnings.append)


def compared_pairs(source: Path, output: Path, start: float, seconds: float) -> Iterator[Pair]:
    """The frames of two videos with the same timestamps, from a time on.

    Args:
        source: The video before.
        output: The video after.
        start: Seconds from the first frame.
        seconds: Length.
    """
    for (time, before), (_, after) in zip(
        _displayed(source, start, seconds), _displayed(output, start, seconds), strict=False
    ):
        yield Pair(time, before, after)


def _displayed(path: Path, start: float, seconds: float) -> Iterator[tuple[Fraction, np.ndarray]]:
    info = probe(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        began = Fraction(stream.start_time or 0) * (stream.time_base or info.time_base)
        if start > 0:
            container.seek(int((began + Fraction(start)) * av.time_base), backward=True)
        for picture in container.decode(stream):
            if picture.pts is None:
                continue
            time = picture.pts * info.time_base - began
            if time >= start + seconds - TOLERANCE:
                return
            if time >= start - TOLERANCE:
                yield time, _shown(Frame(0, picture.pts, info.time_base, picture, info.colour), info)


def _shown(frame: Frame, info: VideoInfo) -> np.ndarray:
    rgb = to_display(frame.working_rgb(), info.display)
    scale = min(1.0, WIDEST / rgb.shape[1])
    size = (_even(rgb.shape[1] * scale), _even(rgb.shape[0] * scale))
    return rgb if size == rgb.shape[1::-1] else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def write_side_by_side(path: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs as H.264, the picture before on the left, under its final name only when it is complete.

    Args:
        path: An .mp4 file.
        pairs: Of one size, in the order of their times.

    Returns:
        The number of frames.
    """
    count, first = 0, Fraction(0)
    with complete_or_nothing(path) as partial, av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(CLOCK, 1))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(CRF), "preset": "veryfast", "movflags": "+faststart"}
        stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK)
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range, context.thread_count = LIMITED_RANGE, 1
        for pair in pairs:
            picture = np.ascontiguousarray(np.hstack([pair.before, pair.after]))
            if count == 0:
                stream.height, stream.width = picture.shape[:2]
                first = pair.time
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED_RANGE)
            frame.pts, frame.time_base = round((pair.time - first) * CLOCK), Fraction(1, CLOCK)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return count
