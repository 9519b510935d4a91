"""Edit lists of MP4 files, written by hand: no muxer makes more than one edit a track."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

CONTAINERS = (b"moov", b"trak", b"mdia", b"edts")


def with_edits(path: Path, target: Path, edits: Sequence[tuple[float, float]]) -> Path:
    """Copy an MP4 file whose index lies at its end, every track showing only these spans (start, stop; seconds)."""
    data = path.read_bytes()
    at = next(start for start, kind, _ in _boxes(data) if kind == b"moov")
    timescale = struct.unpack(">I", _find(data[at:], b"mvhd")[12:16])[0]
    tracks = b""
    for start, kind, length in _boxes(data[at + 8 :]):
        box = data[at + 8 + start : at + 8 + start + length]
        tracks += _edited(box, edits, timescale) if kind == b"trak" else box
    target.write_bytes(data[:at] + _box(b"moov", tracks))
    return target


def _edited(track: bytes, edits: Sequence[tuple[float, float]], timescale: int) -> bytes:
    own = struct.unpack(">I", _find(track, b"mdhd")[12:16])[0]
    entries = b"".join(
        struct.pack(">IiI", round((stop - start) * timescale), round(start * own), 1 << 16) for start, stop in edits
    )
    edit_list = _box(b"edts", _box(b"elst", struct.pack(">II", 0, len(edits)) + entries))
    parts = [track[8 + start : 8 + start + length] for start, kind, length in _boxes(track[8:]) if kind != b"edts"]
    return _box(b"trak", parts[0] + edit_list + b"".join(parts[1:]))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _boxes(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Start, kind and length of each box on one level."""
    place = 0
    while place + 8 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        yield place, data[place + 4 : place + 8], length
        place += length


def _find(data: bytes, wanted: bytes) -> bytes:
    """The content of the first box of a kind, on any level."""
    place = data.index(wanted) + 4
    return data[place:]
