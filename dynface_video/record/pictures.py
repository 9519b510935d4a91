"""Small pictures and videos of a record: JPEG stills and H.264 excerpts that every browser shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.io.container import url

Box = tuple[int, int, int, int]

STILL_SIDE, THUMBNAIL_WIDTH = 288, 160
WHOLE_SIDE, CLOSE_UP_SIDE = 640, 400
"""Longest side of an excerpt of the whole picture, and of a close-up, pixels."""
JPEG_QUALITY = 82
CONTEXT = 1.9
"""Side of a still, in sides of the face."""
CLOSE_UP_CONTEXT = 2.6
EXCERPT_CRF, EXCERPT_BITS = 25, 700_000
"""Quality of excerpts, and their most bits a second: a film's excerpts are at most 5 MB."""
CLOCK = 90_000
BT709, LIMITED = 1, 1


def square_around(centre: Sequence[float], side: float, width: int, height: int) -> Box:
    """The square of a picture around a point, moved inside and cut to the picture: x0, y0, x1, y1.

    Args:
        centre: (x, y).
        side: Pixels.
        width: Of the picture.
        height: Of the picture.
    """
    wide, high = (max(2, min(round(side), limit)) for limit in (width, height))
    x0 = min(max(0, round(centre[0] - wide / 2)), width - wide)
    y0 = min(max(0, round(centre[1] - high / 2)), height - high)
    return x0, y0, x0 + wide, y0 + high


def close_up_box(analyzed: AnalyzedTrack, start: int, stop: int, width: int, height: int) -> Box:
    """The square that holds a face in all of the frames start .. stop - 1.

    Args:
        analyzed: The face; the frames are its own.
        start: First frame.
        stop: One past the last.
        width: Of the displayed picture.
        height: Of the displayed picture.
    """
    track = analyzed.track
    points = track.landmarks[start - track.start : stop - track.start]
    centres, side = points.mean(axis=1), float(track.sizes[start - track.start : stop - track.start].max())
    low, high = centres.min(axis=0), centres.max(axis=0)
    return square_around((low + high) / 2, float((high - low).max()) + CLOSE_UP_CONTEXT * side, width, height)


def jpeg(picture: np.ndarray, box: Box | None, side: int) -> bytes:
    """A part of a picture as JPEG, reduced so that no side is longer than `side` pixels.

    Args:
        picture: (H, W, 3) uint8 RGB.
        box: What to show; None for all.
        side: Pixels.
    """
    part = picture if box is None else picture[box[1] : box[3], box[0] : box[2]]
    target = io.BytesIO()
    Image.fromarray(fitted(part, side)).save(target, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return target.getvalue()


def fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture reduced so that no side is longer than `side` pixels; the same if it is smaller."""
    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1:
        return np.ascontiguousarray(picture)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True)
class ExcerptFile:
    """A finished excerpt: width and height of each of its two halves, pixels, and its length, seconds."""

    width: int
    height: int
    seconds: float


class ExcerptWriter:
    """Writes one H.264 file with the source in the upper half and the output in the lower.

    One stream for both keeps them at the same frame whatever the player does.
    """

    def __init__(self, path: Path, box: Box | None, side: int, rate: Fraction) -> None:
        """Open the file.

        Args:
            path: Of the MP4 file.
            box: What of the displayed picture is shown; None for all.
            side: Longest side of each half, pixels.
            rate: Frames a second.
        """
        self._box, self._side, self._rate = box, side, rate
        self._container: OutputContainer = av.open(url(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: VideoStream | None = None
        self._half = (0, 0)
        self._last = Fraction(0)

    def add(self, source: np.ndarray, output: np.ndarray, time: Fraction) -> None:
        """Add a frame.

        Args:
            source: (H, W, 3) uint8, as displayed.
            output: The same frame of the output.
            time: From the excerpt's first frame, seconds.
        """
        halves = [self._even(picture) for picture in (source, output)]
        if self._stream is None:
            self._half = (halves[0].shape[1], halves[0].shape[0])
            self._stream = self._opened(*self._half)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.concatenate(halves)), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)
        frame.pts, frame.time_base = round(time * CLOCK), Fraction(1, CLOCK)
        self._container.mux(self._stream.encode(frame))
        self._last = time

    def close(self) -> ExcerptFile:
        """Finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        return ExcerptFile(*self._half, float(self._last + 1 / self._rate))

    def _even(self, picture: np.ndarray) -> np.ndarray:
        box = self._box
        part = fitted(picture if box is None else picture[box[1] : box[3], box[0] : box[2]], self._side)
        # Chroma is halved, and 16 samples are the least that encoders take.
        high, wide = (max(16, size // 2 * 2) for size in part.shape[:2])
        return part if part.shape[:2] == (high, wide) else np.asarray(cv2.resize(part, (wide, high)))

    def _opened(self, width: int, height: int) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=self._rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, 2 * height, "yuv420p"
        context.time_base = Fraction(1, CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        context.thread_count = 1
        context.options = {
            "crf": str(EXCERPT_CRF),
            "preset": "veryfast",
            "maxrate": str(EXCERPT_BITS),
            "bufsize": str(2 * EXCERPT_BITS),
            # Seeking to any frame is to be quick.
            "g": "24",
            # With a limited bit rate, macroblock-tree rate control gives other bytes from run to run.
            "bf": "0",
            "x264-params": "mbtree=0",
        }
        return stream
