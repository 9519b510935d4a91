"""Two videos, or two pictures, compared: a clip or a sheet of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from dynface_video.config import Settings
from dynface_video.config.times import TimeSpan
from dynface_video.errors import InputError
from dynface_video.jobs.estimate import frames_of
from dynface_video.jobs.source import probe_source
from dynface_video.media.io.excerpt import read_excerpt
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.clip import CLIPS, SoundOf, check_clip_name, write_clip
from dynface_video.media.output.comparison import check_mode, compared, narrowed, sheet
from dynface_video.media.pixels.display import to_display
from dynface_video.passes.face_sheet import check_picture_format, write_picture

ROWS = 6
"""Moments on a sheet."""
FALLBACK_RATE = Fraction(25)

Progress = Callable[[str, int, int | None], None]


def check_comparison_name(target: Path) -> None:
    """Raise InputError for a target that is neither a clip nor a picture by its extension."""
    if target.suffix.lower() not in CLIPS:
        try:
            check_picture_format(target)
        except InputError as error:
            raise InputError(f"{target}: name a clip ({', '.join(CLIPS)}) or a picture (.png, .jpg)") from error


@dataclass(frozen=True)
class ComparisonRequest:
    """What a comparison is to show.

    Attributes:
        mode: As of `compared`; a sheet is always side by side.
        span: Of a clip, both ends set; None for the whole video.
        width: Most pixels across each picture of a clip; None for those of the first video.
    """

    mode: str = "side"
    span: TimeSpan | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        """Check the mode; raises InputError."""
        check_mode(self.mode)


def make_comparison(
    sources: tuple[Path, Path], target: Path, settings: Settings, request: ComparisonRequest, progress: Progress
) -> int:
    """Compare two videos or pictures.

    Args:
        sources: Both; the second is brought to the size of the first.
        target: A clip, or a picture: a sheet of moments spread over the video.
        settings: How images are read.
        request: What to show.
        progress: Called with (stage, frames done, frames in all or None).

    Returns:
        Number of moments compared.

    Raises:
        InputError: Something cannot be read or written.
    """
    check_comparison_name(target)
    first, second = (probe_source(path, settings) for path in sources)
    labels = [path.name for path in sources]
    if target.suffix.lower() not in CLIPS:
        rows = _moments(first, second)
        made = sheet([row for _, row in rows], labels, [time for time, _ in rows])
        write_picture(target, Image.fromarray(made))
        return len(rows)
    check_clip_name(target)
    total = frames_of(first) if request.span is None else None

    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for number, (time, pair) in enumerate(_pairs(first, second, request.span)):
            small = [narrowed(picture, request.width) for picture in pair]
            yield time, compared(small, labels, request.mode, time)
            progress("compare", number + 1, total)

    rate = first.frame_rate or FALLBACK_RATE
    return write_clip(target, pictures(), rate, _sound(first, request.span, Fraction(total or 0) / rate))


def _sound(info: VideoInfo, span: TimeSpan | None, length: Fraction) -> SoundOf:
    if span is None or span.start is None or span.stop is None:
        return SoundOf(info.path, Fraction(0), info.duration or length)
    return SoundOf(info.path, span.start, span.stop)


def _shown(info: VideoInfo, span: TimeSpan | None, early: Fraction) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Times from the video's first frame, and pictures as displayed; of a span, from `early` seconds before it on."""
    origin: Fraction | None = None
    frames = read_frames(info)
    if span is not None and span.start is not None and span.stop is not None:
        origin = next((frame.time for frame in frames), None)
        frames = read_excerpt(info, max(Fraction(0), span.start - early), span.stop)
    for frame in frames:
        origin = frame.time if origin is None else origin
        yield frame.time - origin, to_display(frame.rgb(), info.display)


def _pairs(first: VideoInfo, second: VideoInfo, span: TimeSpan | None) -> Iterator[tuple[Fraction, list[np.ndarray]]]:
    """The frames of one video, each with the other's that is shown at its time."""
    # Times that differ by the rounding of a container belong together.
    rounding = first.step * first.time_base / 2
    others = _shown(second, span, rounding)
    shown, following = None, next(others, None)
    for time, picture in _shown(first, span, Fraction(0)):
        while following is not None and (shown is None or following[0] <= time + rounding):
            shown, following = following[1], next(others, None)
        if shown is None:
            raise InputError(f"{second.path} has no pictures")
        yield time, [picture, shown]


def _moments(first: VideoInfo, second: VideoInfo) -> list[tuple[Fraction, list[np.ndarray]]]:
    frames, rate = frames_of(first) or 1, first.frame_rate or FALLBACK_RATE
    count = min(ROWS, frames)
    times = [Fraction(frames * (2 * k + 1), 2 * count) / rate for k in range(count)] if frames > 1 else [Fraction(0)]
    return [(time, [_at(first, time), _at(second, time)]) for time in times]


def _at(info: VideoInfo, time: Fraction) -> np.ndarray:
    """The picture that is shown at a time, or the first one behind it."""
    frame = next(read_excerpt(info, time, time + 10))
    return to_display(frame.rgb(), info.display)
