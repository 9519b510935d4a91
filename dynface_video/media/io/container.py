"""Opening input files so that whatever is wrong with one becomes an `InputError` that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from dynface_video.errors import InputError

# Tags of old files are in any encoding; with this they come out of the file and go into the next one byte for byte.
TAG_ERRORS = "surrogateescape"
READ_FAILURES = 32


def url(path: Path) -> str:
    """The path as FFmpeg takes it: the prefix keeps a colon in a name from being read as a protocol."""
    return f"file:{path}"


def open_input(path: Path) -> InputContainer:
    """Open a media file for reading.

    Raises InputError when it is missing, a folder, a pipe or a device, empty, not readable, or in no format that FFmpeg
    knows.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a video file")
    if not path.is_file():
        # Reading a pipe a second time would wait for ever.
        raise InputError(f"{path} is a pipe or a device; a video is read several times: copy it to a file first")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        return av.open(url(path), metadata_errors=TAG_ERRORS)
    except PermissionError as error:
        raise InputError(f"{path} may not be read: permission denied") from error
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path} is not a video that can be read ({reason}); it may be truncated, damaged, or another kind of file"
        ) from error


def find_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream to restore: the one marked as default, else the first; cover art does not count.

    Raises InputError when there is none, or none that can be decoded.
    """
    moving = [stream for stream in container.streams.video if not is_cover(stream)]
    if not moving:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise InputError(f"{path} has no video stream (it holds {kinds})")
    decodable = [stream for stream in moving if stream.codec_context is not None]
    if not decodable:
        raise InputError(f"{path}: FFmpeg has no decoder for its video stream")
    return next((stream for stream in decodable if stream.disposition & Disposition.default), decodable[0])


def read_packets(
    container: InputContainer, streams: Sequence[Stream], on_failure: Callable[[str], None] | None = None
) -> Iterator[Packet]:
    """The packets of some streams that hold data, going on behind parts that cannot be read; `on_failure` is told."""
    failures = 0
    while failures <= READ_FAILURES:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    failures = 0
                    yield packet
            return
        except av.FFmpegError as error:
            failures += 1
            if on_failure is not None:
                on_failure(error.strerror or str(error))


def is_cover(stream: VideoStream) -> bool:
    """Whether a video stream is a still picture that belongs to the file, such as cover art."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))
