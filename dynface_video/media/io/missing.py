"""What the pictures of a file lack: frames that are lost, parts that cannot be read, and the end that was cut off."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av

from dynface_video.media.io.container import find_video_stream, open_input, read_packets
from dynface_video.media.io.probe import VideoInfo, own_duration

DECLARING = ("mov", "matroska", "avi", "flv", "mxf", "rm")
"""Formats whose headers state the length of the video."""
NOTICED_MISSING = Fraction(1, 2)
"""Seconds up to which a difference is not reported: an intact file may lack a last packet, and headers round."""


@dataclass
class MissingPictures:
    """What of a video's pictures a full pass did not get, and whether it matters.

    Only what the output lacks counts: lost frames, for which the one before is shown; frames missing after damage or at
    a fixed rate; the end that the header promises; parts and images that cannot be read. Pictures that the decoder
    repaired, repaired times and changed shapes do not count, nor does a total of `NOTICED_MISSING` or less.

    Attributes:
        info: The video.
        seconds: How much of the video is missing.
        unreadable: Whether a part of unknown length cannot be read.
        images: Number of images of a sequence that cannot be read.
        last: Time of the last picture seen, ticks; None before the first.
    """

    info: VideoInfo
    seconds: Fraction = Fraction(0)
    unreadable: bool = False
    images: int = 0
    last: int | None = None
    _first: int = 0
    _length: int = 0

    def see(self, pts: int, length: int, *, repeated: bool, gaps_count: bool) -> int:
        """Take the next picture.

        Args:
            pts: Its time, ticks.
            length: How long it is shown by the file, ticks; 0 if that is unknown.
            repeated: Whether it stands for a lost picture.
            gaps_count: Whether a gap before it means that frames are missing, and not that the rate varies.

        Returns:
            How many frames are missing before it.
        """
        step, gap = self.info.step, 0
        if self.last is None:
            self._first = pts
        elif gaps_count and pts - self.last >= 2 * step:
            gap = round((pts - self.last) / step) - 1
        self.seconds += (gap + repeated) * step * self.info.time_base
        self.last, self._length = pts, max(step, length)
        return gap

    def end(self) -> Fraction:
        """Count what is missing between the last picture and the end that the file declares.

        Returns:
            Its seconds; 0 if they are too few to notice.

        Raises:
            InputError: The file can no longer be opened.
        """
        missing = Fraction(0) if self.last is None else missing_end(self.info, self._first, self.last, self._length)
        noticed = missing if missing > NOTICED_MISSING else Fraction(0)
        self.seconds += noticed
        return noticed

    def describe(self) -> str:
        """What is missing, such as "1.6 s of video is missing"; empty if nothing relevant is."""
        if self.images:
            return f"{self.images} image{'s' * (self.images > 1)} cannot be read"
        if self.seconds > NOTICED_MISSING:
            return f"{float(self.seconds):.1f} s of video is missing"
        return "a part of the file cannot be read" if self.unreadable else ""


def declares_length(info: VideoInfo) -> bool:
    """Whether the file's header says how long the video is, also when the file was cut off."""
    return info.format_name.startswith(DECLARING)


def missing_end(info: VideoInfo, first: int, last: int, length: int) -> Fraction:
    """Seconds from the end of the last picture to where the file says the video ends.

    Args:
        info: The video.
        first: Time of the first picture, ticks.
        last: Time of the last picture, ticks.
        length: How long the last picture is shown, ticks.

    Raises:
        InputError: The file can no longer be opened.
    """
    if info.duration is None or not declares_length(info):
        return Fraction(0)
    # Matroska gives the time of the end, MP4 the length.
    start = 0 if info.format_name.startswith("matroska") else first
    end, declared = (last + length) * info.time_base, info.duration + start * info.time_base
    missing = declared - end
    return Fraction(0) if missing > NOTICED_MISSING and _is_end_of_sound(info, end, declared) else missing


def _is_end_of_sound(info: VideoInfo, end: Fraction, declared: Fraction) -> bool:
    """Whether the declared end is that of another stream, such as sound, which may outlast the pictures.

    Args:
        info: The video.
        end: Where its pictures end, seconds.
        declared: Where the file says that it ends, seconds.
    """
    with open_input(info.path) as container:
        if own_duration(container, find_video_stream(container, info.path)) is not None:
            return False
    # FLV finds nothing behind its last keyframe.
    return (_end_of_all(info, end) or _end_of_all(info, None)) > declared - NOTICED_MISSING


def _end_of_all(info: VideoInfo, start: Fraction | None) -> Fraction:
    """Where the last packet of all streams ends, seconds, read from a time on or from the beginning."""
    with open_input(info.path) as container:
        if start is not None:
            with suppress(av.FFmpegError):
                container.seek(int(start * av.time_base))
        packets = read_packets(container, container.streams.get())
        ends = ((one.pts + (one.duration or 0)) * one.time_base for one in packets if one.pts is not None)
        return max(ends, default=Fraction(0))
