"""Opening input files; every failure becomes an `InputError` that names the file and the reason."""

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
    """The path in FFmpeg's form; the prefix keeps a colon in a name from being read as a protocol."""
    return f"file:{path}"


def open_input(path: Path) -> InputContainer:
    """Open a media file for reading.

    Args:
        path: The file.

    Raises:
        InputError: The file is missing, a folder, a pipe or device, empty, unreadable, or in an unknown format.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a video file")
    if not path.is_file():
        # Reading a pipe a second time would block forever.
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
    """Choose the video stream to restore: the default one, otherwise the first; cover art does not count.

    Args:
        container: The opened file.
        path: Of the file, for messages.

    Raises:
        InputError: No video stream, or no decoder for it.
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
    """Read the packets of some streams that hold data, continuing after parts that cannot be read.

    Args:
        container: The opened file.
        streams: Whose packets to read.
        on_failure: Receives the reason for each part that cannot be read.
    """
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
