"""Cropping written into the headers of small files by hand: PyAV writes none."""

from __future__ import annotations

import struct
from pathlib import Path

CLUSTER = b"\x1f\x43\xb6\x75"
TRACKS, TRACK, VIDEO = b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
MATROSKA = {"left": b"\x54\xcc", "top": b"\x54\xbb", "right": b"\x54\xdd", "bottom": b"\x54\xaa"}


def crop_matroska(path: Path, **sides: int) -> Path:
    """Add PixelCrop elements to the first video track of a file that was written with the option live=1."""
    data = path.read_bytes()
    added = b"".join(_element(MATROSKA[side], value.to_bytes(2, "big")) for side, value in sides.items())
    # The index before it names its kind, too.
    start = data.rindex(TRACKS, 0, data.index(CLUSTER))
    length, content = _size(data, start + len(TRACKS))
    grown = _with_added(data[content : content + length], [TRACK, VIDEO], added)
    path.write_bytes(data[:start] + _element(TRACKS, grown) + data[content + length :])
    return path


def crop_mp4(path: Path, width: int, height: int, across: int = 0, down: int = 0) -> Path:
    """Add a clean aperture to the first video track of a file whose index lies at its end; offsets in halves."""
    data = path.read_bytes()
    clap = struct.pack(">I4s4IiIiI", 40, b"clap", width, 1, height, 1, across, 2, down, 2)
    place, start, end = 0, data.index(b"moov") - 4, len(data)
    parents = []
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        place = data.index(kind, start if kind == b"moov" else place)
        parents.append(place - 4)
    end = place - 4 + struct.unpack_from(">I", data, place - 4)[0]
    grown = bytearray(data[:end] + clap + data[end:])
    for parent in parents:
        grown[parent : parent + 4] = struct.pack(">I", struct.unpack_from(">I", data, parent)[0] + len(clap))
    path.write_bytes(bytes(grown))
    return path


def _with_added(data: bytes, path: list[bytes], added: bytes) -> bytes:
    """Elements of which the first at a path of kinds has more content."""
    if not path:
        return data + added
    result, place, done = b"", 0, False
    while place < len(data):
        kind = data[place : place + 9 - data[place].bit_length()]
        length, content = _size(data, place + len(kind))
        inside = data[content : content + length]
        if kind == path[0] and not done:
            inside, done = _with_added(inside, path[1:], added), True
        result += _element(kind, inside)
        place = content + length
    return result


def _element(kind: bytes, content: bytes) -> bytes:
    return kind + ((1 << 28) | len(content)).to_bytes(4, "big") + content


def _size(data: bytes, at: int) -> tuple[int, int]:
    """The size at a place, and where the content begins."""
    length = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1), at + length
