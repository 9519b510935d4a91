"""Cropping that a container asks for, read off the file itself: PyAV does not tell it.

Matroska has the elements PixelCropLeft and so on (RFC 9559, 5.1.4.1.28), MP4 and QuickTime the box "clap", the clean
aperture (ISO/IEC 14496-12, 12.1.4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer
from av.video.stream import VideoStream

from dynface_video.media.io.container import is_cover

SEGMENT, TRACKS, TRACK, TRACK_TYPE, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}
LARGEST_HEADER = 1 << 28
SAMPLE_ENTRY = 78
"""Bytes of the fixed part of a visual sample entry of MP4, before the boxes in it."""


@dataclass(frozen=True)
class Crop:
    """How many columns and lines of a stored picture are hidden at each side."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is left of a picture."""
        return width - self.left - self.right, height - self.top - self.bottom

    def aligned(self, across: int, down: int) -> Crop:
        """The least crop that hides at least as much with `left` a multiple of `across` and `top` of `down`."""
        return Crop(-(-self.left // across) * across, -(-self.top // down) * down, self.right, self.bottom)


NO_CROP = Crop()


def container_crop(container: InputContainer, stream: VideoStream, path: Path, size: tuple[int, int]) -> Crop:
    """The cropping of a stream's pictures, all zero where the container asks for none.

    Args:
        container: The opened file.
        stream: One of its video streams.
        path: Of the file.
        size: Width and height of its decoded pictures.

    Returns:
        The crop; none where it would hide the whole picture or the header cannot be read.
    """
    name = container.format.name
    try:
        with open(path, "rb") as file:
            if "matroska" in name:
                moving = [other.index for other in container.streams.video if not is_cover(other)]
                crop = _matroska(file, moving.index(stream.index))
            elif "mp4" in name:
                crop = _clean_aperture(file, stream.id, size)
            else:
                return NO_CROP
    except (OSError, struct.error, IndexError, ValueError):
        # Damaged headers are for FFmpeg to judge; what cannot be read asks for nothing.
        return NO_CROP
    return crop if min(crop.size(*size)) > 0 and min(crop.left, crop.top, crop.right, crop.bottom) >= 0 else NO_CROP


def _matroska(file: BinaryIO, number: int) -> Crop:
    """The crop of the `number`-th video track; editors may have moved the header behind the pictures."""
    for kind, length in _elements_of_file(file):
        if kind == TRACKS and length < LARGEST_HEADER:
            tracks = [dict(_elements(entry)) for kind, entry in _elements(file.read(length)) if kind == TRACK]
            video = [track for track in tracks if int.from_bytes(track.get(TRACK_TYPE, b"\x00"), "big") == 1]
            found = dict(_elements(video[number].get(VIDEO, b"")))
            return Crop(**{side: int.from_bytes(found.get(kind, b""), "big") for kind, side in CROPS.items()})
    return NO_CROP


def _elements_of_file(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Kind and length of the elements on the first level within the segment; the file stands at their content."""
    while len(head := file.read(12)) >= 2:
        start = file.tell() - len(head)
        kind, place = _number(head, 0, keep_marker=True)
        length, place = _number(head, place)
        file.seek(start + place)
        if kind == SEGMENT:
            continue
        yield kind, length
        file.seek(start + place + length)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        kind, place = _number(data, place, keep_marker=True)
        length, place = _number(data, place)
        yield kind, data[place : place + length]
        place += length


def _number(data: bytes, place: int, *, keep_marker: bool = False) -> tuple[int, int]:
    """A number of EBML's variable length and the place after it; raises ValueError for an invalid one."""
    length = 9 - data[place].bit_length()
    if length > 8:
        raise ValueError("a number of more than eight bytes")
    value = int.from_bytes(data[place : place + length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), place + length


def _clean_aperture(file: BinaryIO, track: int, size: tuple[int, int]) -> Crop:
    for trak in _named(_movie(file), b"trak"):
        header = next(_named(trak, b"tkhd"))
        number = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
        if number != track:
            continue
        table = trak
        for kind in (b"mdia", b"minf", b"stbl", b"stsd"):
            table = next(_named(table, kind), b"")
        entry = next(_boxes(table[8:]), (b"", b""))[1]
        aperture = next(_named(entry[SAMPLE_ENTRY:], b"clap"), None)
        return NO_CROP if aperture is None else _centred(struct.unpack(">IIIIiIiI", aperture[:32]), size)
    return NO_CROP


def _centred(aperture: tuple[int, ...], size: tuple[int, int]) -> Crop:
    """A clean aperture's size and the offset of its centre, as fractions, as a crop of whole pixels."""
    wide, high, across, down = (aperture[i] / aperture[i + 1] if aperture[i + 1] else 0.0 for i in (0, 2, 4, 6))
    left, top = (size[0] - wide) / 2 + across, (size[1] - high) / 2 + down
    return Crop(round(left), round(top), size[0] - round(left + wide), size[1] - round(top + high))


def _movie(file: BinaryIO) -> bytes:
    """The content of the box "moov" of a file."""
    while len(head := file.read(8)) == 8:
        length, kind, done = struct.unpack(">I", head[:4])[0], head[4:], 8
        if length == 1:
            length, done = struct.unpack(">Q", file.read(8))[0], 16
        if kind == b"moov":
            return file.read(length - done) if done <= length < LARGEST_HEADER else b""
        if length < done:
            break
        file.seek(length - done, 1)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        if length < 8:
            return
        yield data[place + 4 : place + 8], data[place + 8 : place + length]
        place += length


def _named(data: bytes, wanted: bytes) -> Iterator[bytes]:
    return (content for kind, content in _boxes(data) if kind == wanted)
