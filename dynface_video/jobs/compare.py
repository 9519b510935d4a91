"""Two videos, or two pictures, compared: a clip or a sheet of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from dynface_video.config import Settings
from dynface_video.errors import InputError
from dynface_video.jobs.estimate import frames_of
from dynface_video.jobs.source import probe_source
from dynface_video.media.io.excerpt import read_excerpt
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.clip import CLIPS, SoundOf, check_clip_name, write_clip
from dynface_video.media.output.comparison import compared, sheet
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


def make_comparison(sources: tuple[Path, Path], target: Path, settings: Settings, mode: str, progress: Progress) -> int:
    """Compare two videos or pictures.

    Args:
        sources: Both; the second is brought to the size of the first.
        target: A clip, or a picture: a sheet of moments spread over the video.
        settings: How images are read.
        mode: As of `compared`; a sheet is always side by side.
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
    total = frames_of(first)

    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for number, (time, pair) in enumerate(_pairs(first, second)):
            yield time, compared(pair, labels, mode, time)
            progress("compare", number + 1, total)

    rate = first.frame_rate or FALLBACK_RATE
    length = (first.duration or Fraction(0)) or Fraction(total or 0) / rate
    return write_clip(target, pictures(), rate, SoundOf(first.path, Fraction(0), length))


def _shown(info: VideoInfo) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Times from the first frame and pictures as displayed."""
    origin: Fraction | None = None
    for frame in read_frames(info):
        origin = frame.time if origin is None else origin
        yield frame.time - origin, to_display(frame.rgb(), info.display)


def _pairs(first: VideoInfo, second: VideoInfo) -> Iterator[tuple[Fraction, list[np.ndarray]]]:
    """The frames of one video, each with the other's that is shown at its time."""
    others = _shown(second)
    shown, following = None, next(others, None)
    for time, picture in _shown(first):
        # Times that differ by the rounding of a container belong together.
        while following is not None and (shown is None or following[0] <= time + first.step * first.time_base / 2):
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
