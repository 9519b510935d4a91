"""Copying packets of an H.264 source between encoded segments; parts without a face are not encoded again.

One file has one header. H.264 numbers its parameter sets, and a header may hold several: the encoder uses a number that
the source does not, the header gets both, and every IDR picture refers to the one that applies. x265 cannot number its
own, which limits copying to H.264.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet

from dynface_video.errors import JobError
from dynface_video.media.io.container import open_input, read_packets, url
from dynface_video.media.io.decode import seek
from dynface_video.media.io.files import complete_or_nothing
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.output.encoding import EncodeSettings
from dynface_video.media.output.write import AVFMT_FLAG_BITEXACT, segment_lead, verify_segment
from dynface_video.media.timing.index import FrameIndex
from dynface_video.media.timing.restarts import unwrap_timestamps

IDR, SPS, PPS = 5, 7, 8
START = b"\x00\x00\x00\x01"
LARGEST_NUMBER = 31


@dataclass(frozen=True)
class ParameterSets:
    """Contents of an H.264 header.

    Attributes:
        units: Its SPS and PPS.
        length_size: Bytes of a unit's length, 0 for start codes.
    """

    units: tuple[bytes, ...]
    length_size: int

    def annex_b(self) -> bytes:
        """The header with start codes; the SPS of the highest profile and level comes first."""
        kinds = {kind: [unit for unit in self.units if unit[0] & 31 == kind] for kind in (SPS, PPS)}
        first = sorted(kinds[SPS], key=lambda unit: (unit[1], unit[3]), reverse=True)
        return b"".join(START + unit for unit in [*first, *kinds[PPS]])


def parameter_sets(header: bytes) -> ParameterSets:
    """Parse a header of MP4 and Matroska (avcC) or with start codes; empty for any other."""
    if header[:1] == b"\x01" and len(header) > 6:
        return ParameterSets(tuple(_avcc_units(header)), (header[4] & 3) + 1)
    units = (unit for unit in _split_annex_b(header) if unit and unit[0] & 31 in (SPS, PPS))
    return ParameterSets(tuple(units), 0)


def free_number(sets: ParameterSets) -> int | None:
    """A parameter set number of at least 1 that a source does not use; None if all are used."""
    taken = {_first_number(unit[4:] if unit[0] & 31 == SPS else unit[1:]) for unit in sets.units}
    return next((number for number in range(1, LARGEST_NUMBER + 1) if number not in taken), None)


def joined_header(headers: Iterable[bytes]) -> bytes:
    """Join the parameter sets of several headers."""
    units = dict.fromkeys(unit for header in headers for unit in parameter_sets(header).units)
    return ParameterSets(tuple(units), 0).annex_b()


def unsupported_reason(info: VideoInfo, settings: EncodeSettings) -> str | None:
    """Why packets of a source cannot be copied beside segments of these settings; None if they can."""
    if info.codec != "h264" or settings.codec != "libx264":
        return f"only H.264 can be copied into H.264, not {info.codec} into {settings.codec}"
    if info.crop:
        return "the container crops its pictures, which a copy would undo"
    if info.interlaced or settings.interlaced:
        return "interlaced video is not copied"
    if settings.pixel_format != info.pixel_format.replace("yuvj", "yuv"):
        return f"the pixel format changes from {info.pixel_format} to {settings.pixel_format}"
    with open_input(info.path) as container:
        sets = parameter_sets(container.streams[info.stream_index].codec_context.extradata or b"")
    if not sets.units:
        return "its header holds no parameter sets"
    return None if free_number(sets) else "its parameter sets use every number"


def parameter_set_number(info: VideoInfo) -> int:
    """The parameter set number for the encoder beside this source."""
    with open_input(info.path) as container:
        return free_number(parameter_sets(container.streams[info.stream_index].codec_context.extradata or b"")) or 0


def closed_spans(info: VideoInfo, index: FrameIndex) -> list[tuple[int, int]]:
    """Find the runs of frames, from one IDR picture to the next, whose packets are exactly those frames.

    Reads the packets of the whole video without decoding. Runs with lost, repaired or fitted frames are excluded.

    Returns:
        Start and stop of each run.
    """
    numbers = {int(tick): number for number, tick in enumerate(index.pts)}
    groups: list[list[int]] = []
    with open_input(info.path) as container:
        stream = container.streams[info.stream_index]
        sets = parameter_sets(stream.codec_context.extradata or b"")
        for packet, moved in unwrap_timestamps(read_packets(container, [stream]), stream, container.format.name):
            if packet.is_keyframe and IDR in _kinds(bytes(packet), sets.length_size):
                groups.append([])
            if groups:
                usable = packet.pts is not None and not (packet.is_corrupt or packet.is_discard or moved)
                groups[-1].append(numbers.get(packet.pts or 0, -1) if usable else -1)
    spans = []
    for group in groups:
        found = sorted(group)
        start, stop = found[0], found[-1] + 1
        whole = start >= 0 and found == list(range(start, stop)) and not index.repeated & set(found)
        if whole and not any(first < stop and start < last for first, last in index.fitted):
            spans.append((start, stop))
    return spans


def copy_segment(path: Path, info: VideoInfo, index: FrameIndex, start: int, stop: int) -> int:
    """Write the packets of the frames start .. stop - 1 as a segment.

    Coded pictures keep every byte; length prefixes become start codes, as in encoded segments.

    Args:
        path: The segment.
        info: The source.
        index: Its frames.
        start: First frame, of one or more `closed_spans`.
        stop: One past the last frame.

    Returns:
        The number of frames.

    Raises:
        JobError: The packets no longer exist.
    """
    pts, lead = index.pts[start:stop], segment_lead(info.time_base)
    with complete_or_nothing(path, shared=True) as partial:
        with open_input(info.path) as container, av.open(url(partial), "w", format="nut") as output:
            output.flags |= AVFMT_FLAG_BITEXACT
            source = container.streams[info.stream_index]
            sets = parameter_sets(source.codec_context.extradata or b"")
            stream = output.add_stream_from_template(source, opaque=True)
            stream.codec_context.extradata = sets.annex_b()
            stream.time_base = info.time_base
            packets = list(_packets_of(container, info, index, start, pts))
            shown = np.searchsorted(pts, [packet.pts or 0 for packet in packets])
            delay = int(max(np.arange(len(shown)) - shown, default=0))
            for number, packet in enumerate(packets):
                copied = Packet(_to_annex_b(bytes(packet), sets.length_size))
                copied.pts = (packet.pts or 0) + lead
                copied.dts = lead + int(
                    pts[number - delay] if number >= delay else pts[0] - (delay - number) * info.step
                )
                copied.time_base, copied.is_keyframe, copied.stream = info.time_base, packet.is_keyframe, stream
                output.mux(copied)
        if not verify_segment(partial, pts, info.time_base):
            raise JobError(f"{path}: frames {start} to {stop - 1} could not be copied; has the file changed?")
    return len(pts)


def _packets_of(
    container: InputContainer, info: VideoInfo, index: FrameIndex, start: int, pts: np.ndarray
) -> Iterator[Packet]:
    stream = container.streams[info.stream_index]
    before = [point for point in index.seek_points if point.frame <= start]
    if before:
        seek(container, stream, before[-1].entry)
    begun, left = False, set(pts.tolist())
    for packet in read_packets(container, [stream]):
        # With several edits, packets that are cut away may have the times of shown frames.
        if packet.is_discard:
            continue
        begun = begun or packet.pts == pts[0]
        if begun and packet.pts in left:
            left.remove(packet.pts)
            yield packet
        if not left:
            return


def _to_annex_b(data: bytes, length_size: int) -> bytes:
    return b"".join(START + unit for unit in split_units(data, length_size)) if length_size else data


def split_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """Split a packet into NAL units.

    Args:
        data: The packet.
        length_size: Bytes of the length before each unit, 0 for start codes.
    """
    if not length_size:
        yield from _split_annex_b(data)
        return
    place = 0
    while place + length_size <= len(data):
        length = int.from_bytes(data[place : place + length_size], "big")
        place += length_size
        yield data[place : place + length]
        place += length


def _split_annex_b(data: bytes) -> Iterator[bytes]:
    # A start code has two or three zeros; a unit never ends with one.
    for unit in data.split(b"\x00\x00\x01")[1:]:
        yield unit.rstrip(b"\x00")


def _kinds(data: bytes, length_size: int) -> set[int]:
    return {unit[0] & 31 for unit in split_units(data, length_size) if unit}


def _avcc_units(header: bytes) -> Iterator[bytes]:
    place = 5
    for mask in (31, 255):
        count, place = header[place] & mask, place + 1
        for _ in range(count):
            length = int.from_bytes(header[place : place + 2], "big")
            yield header[place + 2 : place + 2 + length]
            place += 2 + length


def _first_number(data: bytes) -> int:
    """The first Exp-Golomb number of some bytes."""
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
