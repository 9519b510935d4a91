"""Film scans, DPX and OpenEXR: decoded and encoded by FFmpeg, headers carried from file to file.

DPX (SMPTE ST 268) has integers, often on a film logarithm. OpenEXR has scene-linear floats without an upper end: they
are worked on in the working range, and only what changed goes back, so that all other samples keep their bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from dynface_video.errors import InputError
from dynface_video.media.io.image_file import ImageFile
from dynface_video.media.io.probe import UNSPECIFIED
from dynface_video.media.pixels.sample_arrays import arrays_of, picture_from_arrays, spread, squeezed
from dynface_video.media.pixels.working_range import FILM_LOG, LINEAR, WorkingRange

DECODERS = {"DPX": "dpx", "EXR": "exr"}
LOGARITHMIC = (1, 3)
"""DPX's transfer characteristics: printing density, logarithmic. "Linear" (2) is what FFmpeg writes for anything."""
EXR_MAGIC = b"\x76\x2f\x31\x01"
STRUCTURE = (
    "channels", "compression", "dataWindow", "displayWindow", "lineOrder", "tiles", "type", "version", "chunkCount",
)  # fmt: skip
"""Attributes of OpenEXR that say how the file is laid out; all others describe the picture."""
EXR_COMPRESSIONS = {0: "none", 1: "rle", 2: "zip1", 3: "zip16"}
"""Those that the encoder has, by their number in the file; for others it is zip16."""
CHANNELS = {"R", "G", "B", "A", "Y"}


def read_film_scan(path: Path, kind: str) -> ImageFile:
    """Read a DPX or OpenEXR file.

    Args:
        path: The file.
        kind: "DPX" or "EXR".

    Returns:
        The image; `samples` of OpenEXR are in the working range.

    Raises:
        InputError: It cannot be decoded.
        OSError: It cannot be read.
    """
    data = path.read_bytes()
    picture, aspect = _decoded(path, data, kind)
    colours, alpha = arrays_of(picture)
    if colours.dtype.kind == "f":
        samples = _to_16_bit(_to_working(colours))
        return ImageFile(path, kind, samples, None if alpha is None else _to_16_bit(alpha), aspect=aspect)
    bits = picture.format.components[0].bits
    transfer = FILM_LOG if kind == "DPX" and _dpx(data).transfer in LOGARITHMIC else UNSPECIFIED
    alpha = None if alpha is None else spread(alpha, bits)
    return ImageFile(path, kind, spread(colours, bits), alpha, transfer=transfer, aspect=aspect)


def film_scan_size(path: Path, kind: str) -> tuple[int, int]:
    """Width and height from the header; raises InputError for a damaged one, OSError where it cannot be read."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    try:
        if kind == "DPX":
            return _dpx(head).size
        window = next(value for name, _, value in _attributes(head) if name == "displayWindow")
        left, top, right, bottom = struct.unpack("<4i", window)
        return right - left + 1, bottom - top + 1
    except (struct.error, StopIteration, ValueError) as error:
        raise InputError(f"{path} cannot be read; is it truncated or damaged?") from error


def write_film_scan(path: Path, samples: np.ndarray, source: ImageFile) -> list[str]:
    """Write samples in the format of their source file, with its header.

    Args:
        path: The new file.
        samples: As `source.samples`.
        source: A DPX or OpenEXR file that was read.

    Returns:
        What could not be kept, one message each.
    """
    assert source.path is not None
    data = source.path.read_bytes()
    picture, _ = _decoded(source.path, data, source.kind)
    if source.kind == "DPX":
        return _write_dpx(path, samples, picture, data)
    return _write_exr(path, samples, source, picture, data)


def _decoded(path: Path, data: bytes, kind: str) -> tuple[av.VideoFrame, Fraction]:
    context = av.CodecContext.create(DECODERS[kind], "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    try:
        picture = next(iter([*context.decode(av.Packet(data)), *context.decode(None)]))
    except (av.FFmpegError, StopIteration) as error:
        reason = getattr(error, "strerror", None) or "it holds no picture"
        raise InputError(
            f"{path} cannot be decoded ({reason}); is it damaged, or a kind of {kind} that FFmpeg lacks?"
        ) from error
    if picture.format.name in ("abgr", "bgr24", "bgra", "0rgb"):
        picture = picture.reformat(format="rgba" if "a" in picture.format.name else "rgb24")
    ratio = context.sample_aspect_ratio
    return picture, ratio if ratio and Fraction(1, 10) <= ratio <= 10 else Fraction(1)


def _encoded(picture: av.VideoFrame, codec: str, options: dict[str, str]) -> bytes:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = picture.width, picture.height, picture.format.name
    context.time_base, context.thread_count, context.options = Fraction(1, 25), 1, options
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])


@dataclass(frozen=True)
class _DpxHeader:
    """order: of bytes, as `struct` names it; start: of the samples"""

    order: str
    start: int
    size: tuple[int, int]
    transfer: int


def _dpx(data: bytes) -> _DpxHeader:
    order = {b"SDPX": ">", b"XPDS": "<"}.get(data[:4])
    if order is None:
        raise ValueError("not a DPX file")
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    width, height = struct.unpack_from(f"{order}2I", data, 772)
    return _DpxHeader(order, start, (width, height), data[801])


def _write_dpx(path: Path, samples: np.ndarray, picture: av.VideoFrame, data: bytes) -> list[str]:
    header = _dpx(data)
    name = picture.format.name.removesuffix("le").removesuffix("be")
    bits = picture.format.components[0].bits
    target = name if bits == 8 else name + ("be" if header.order == ">" else "le")
    _, alpha = arrays_of(picture)
    new = picture_from_arrays(squeezed(samples, bits), alpha, target)
    try:
        content = _samples_of_dpx(_encoded(new, "dpx", {}))
        same = _samples_of_dpx(_encoded(picture_from_arrays(*arrays_of(picture), target), "dpx", {}))
    except (av.FFmpegError, ValueError) as error:
        raise OSError(
            f"{path}: DPX of the kind {picture.format.name} cannot be written; give --image-format png"
        ) from error
    if data[header.start : header.start + len(same)] == same:
        path.write_bytes(data[: header.start] + content + data[header.start + len(same) :])
        return []
    path.write_bytes(_encoded(new, "dpx", {}))
    return ["its header, because its samples are packed otherwise"]


def _samples_of_dpx(data: bytes) -> bytes:
    return data[_dpx(data).start :]


def _write_exr(path: Path, samples: np.ndarray, source: ImageFile, picture: av.VideoFrame, data: bytes) -> list[str]:
    colours, alpha = arrays_of(picture)
    changed = samples != source.samples
    light = WorkingRange(LINEAR).from_working
    change = light(samples / np.float64(65535)) - light(source.samples / np.float64(65535))
    new = np.where(changed, colours + change, colours).astype(colours.dtype)
    half = colours.dtype == np.float16
    name = "grayf32le" if new.ndim == 2 else "gbrpf32le" if alpha is None else "gbrapf32le"
    wide = picture_from_arrays(new.astype(np.float32), None if alpha is None else alpha.astype(np.float32), name)
    compression = next(value[0] for attribute, _, value in _attributes(data) if attribute == "compression")
    options = {"format": "half" if half else "float", "compression": EXR_COMPRESSIONS.get(compression, "zip16")}
    path.write_bytes(_with_attributes(_encoded(wide, "exr", options), data))
    further = sorted(_channel_names(data) - CHANNELS)
    return [f"its further channels ({', '.join(further)})"] if further else []


def _to_working(colours: np.ndarray) -> np.ndarray:
    return WorkingRange(LINEAR).to_working(np.nan_to_num(colours.astype(np.float64), posinf=65504, neginf=0))


def _to_16_bit(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1).astype(np.float64) * 65535).astype(np.uint16)


def _attributes(data: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, type and value of each attribute of an OpenEXR header."""
    place = 8
    while data[:4] == EXR_MAGIC and data[place : place + 1] not in (b"", b"\x00"):
        name, place = _text(data, place)
        kind, place = _text(data, place)
        length = struct.unpack_from("<I", data, place)[0]
        yield name.decode("latin-1"), kind, data[place + 4 : place + 4 + length]
        place += 4 + length


def _text(data: bytes, place: int) -> tuple[bytes, int]:
    end = data.index(b"\x00", place)
    return data[place:end], end + 1


def _header_length(data: bytes) -> int:
    return 8 + sum(_length_of(*attribute) for attribute in _attributes(data)) + 1


def _length_of(name: str, kind: bytes, value: bytes) -> int:
    return len(name) + 1 + len(kind) + 1 + 4 + len(value)


def _with_attributes(encoded: bytes, source: bytes) -> bytes:
    """An encoded OpenEXR file with the attributes of another that describe the picture."""
    own = [attribute for attribute in _attributes(encoded) if attribute[0] in STRUCTURE]
    own += [attribute for attribute in _attributes(source) if attribute[0] not in STRUCTURE]
    header = encoded[:8] + b"".join(
        name.encode("latin-1") + b"\x00" + kind + b"\x00" + struct.pack("<I", len(value)) + value
        for name, kind, value in own
    )
    # The table of chunks behind the header holds places in the file.
    start = _header_length(encoded)
    first = struct.unpack_from("<Q", encoded, start)[0]
    table = np.frombuffer(encoded[start:first], "<u8") + np.uint64(len(header) + 1) - np.uint64(start)
    return header + b"\x00" + table.astype("<u8").tobytes() + encoded[first:]


def _channel_names(data: bytes) -> set[str]:
    channels = next(value for name, _, value in _attributes(data) if name == "channels")
    names, place = set(), 0
    while channels[place : place + 1] not in (b"", b"\x00"):
        name, place = _text(channels, place)
        names.add(name.decode("latin-1"))
        place += 16
    return names
