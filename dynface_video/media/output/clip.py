"""Short clips for viewing: pictures as displayed, with their times and the sound of the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from dynface_video.errors import InputError
from dynface_video.media.io.container import open_input
from dynface_video.media.io.files import complete_or_nothing

CLIPS = (".mp4", ".m4v", ".mov", ".mkv")
TICKS = 90_000
"""Of a second; the times of all usual frame rates are whole numbers of them, or off by less than one."""
SOUND_RATE = 48_000
BT709, LIMITED = 1, 1
QUALITY = {"crf": "17", "preset": "veryfast"}


@dataclass(frozen=True)
class SoundOf:
    """The sound of a file between two times in seconds from its beginning."""

    path: Path
    start: Fraction
    stop: Fraction


def check_clip_name(path: Path) -> None:
    """Raise InputError for a name without the extension of a container for clips."""
    if path.suffix.lower() not in CLIPS:
        raise InputError(f"{path}: a clip must be {', '.join(CLIPS[:-1])} or {CLIPS[-1]}")


def write_clip(
    path: Path, pictures: Iterable[tuple[Fraction, np.ndarray]], rate: Fraction, sound: SoundOf | None = None
) -> int:
    """Encode pictures as H.264 that every player shows; the file appears only when it is complete.

    Args:
        path: One of `CLIPS`.
        pictures: Times in seconds, rising, and pictures (H, W, 3) uint8 RGB of one size; an odd last line or column is
            left out.
        rate: Nominal frames per second.
        sound: To be encoded as AAC beside them; None, or a file without sound, for none.

    Returns:
        Number of pictures.

    Raises:
        InputError: There is no picture, or the file cannot be written.
    """
    check_clip_name(path)
    count = 0
    try:
        with complete_or_nothing(path) as partial, av.open(str(partial), "w") as container:
            video = container.add_stream("libx264", rate=rate)
            audio = container.add_stream("aac", rate=SOUND_RATE) if sound and _has_sound(sound.path) else None
            if audio is not None:
                audio.layout = "stereo"
            first = Fraction(0)
            for count, (time, picture) in enumerate(pictures, 1):
                if count == 1:
                    first = time
                    _set_up(video, picture)
                _encode(container, video, picture, time - first)
            if count == 0:
                raise InputError(f"nothing to write to {path}: no picture")
            container.mux(video.encode(None))
            if audio is not None and sound is not None:
                _encode_sound(container, audio, sound)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"cannot write {path} ({error})") from error
    return count


def _set_up(video: VideoStream, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    video.height, video.width = height // 2 * 2, width // 2 * 2
    video.pix_fmt, video.options = "yuv420p", dict(QUALITY)
    video.time_base = video.codec_context.time_base = Fraction(1, TICKS)
    context = video.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    context.thread_count = 1


def _encode(container: OutputContainer, video: VideoStream, picture: np.ndarray, time: Fraction) -> None:
    even = np.ascontiguousarray(picture[: video.height, : video.width])
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)
    frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
    container.mux(video.encode(frame))


def _has_sound(path: Path) -> bool:
    if path.is_dir():
        return False
    with open_input(path) as container:
        return bool(container.streams.audio)


def _encode_sound(container: OutputContainer, audio: AudioStream, sound: SoundOf) -> None:
    resampler = AudioResampler("fltp", "stereo", SOUND_RATE)
    done = 0
    for frame in _sound_frames(sound):
        for part in resampler.resample(frame):
            part.pts, part.time_base = done, Fraction(1, SOUND_RATE)
            done += part.samples
            container.mux(audio.encode(part))
    container.mux(audio.encode(None))


def _sound_frames(sound: SoundOf) -> Iterator[AudioFrame]:
    with open_input(sound.path) as container:
        stream = container.streams.audio[0]
        pictures = container.streams.video[0]
        origin = Fraction(0)
        if pictures.start_time is not None and pictures.time_base is not None:
            origin = pictures.start_time * pictures.time_base
        if sound.start > 0:
            container.seek(int((origin + sound.start) * av.time_base), backward=True)
        for frame in container.decode(stream):
            if frame.pts is None or frame.time_base is None:
                continue
            time = frame.pts * frame.time_base - origin
            if time >= sound.stop:
                return
            if time >= sound.start:
                # The resampler wants times without gaps; they are counted anew.
                frame.pts = None
                yield frame
