"""Messages that travel inside coded pictures: closed captions, AFD, HDR10+, timecodes, user data.

Decoding and encoding would lose them or keep them by chance of the encoder, so they are taken from the source's packets
and put into the output's: SEI of H.264 (ITU-T H.264, annex D) and HEVC (ITU-T H.265, annex D), metadata OBUs of AV1
(5.8), user data of MPEG-2 (ATSC A/53, part 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dynface_video.media.io.container import open_input, read_packets
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.sequence import SEQUENCE
from dynface_video.media.output.stream_copy import parameter_sets, split_units
from dynface_video.media.timing.restarts import unwrap_timestamps

T35, UNREGISTERED, FRAME_PACKING, TIMECODE, MASTERING, LIGHT_LEVEL = 4, 5, 45, 136, 137, 144
"""Payload types of SEI. H.264 and HEVC number these alike."""
KEPT = (T35, UNREGISTERED, FRAME_PACKING, TIMECODE, MASTERING, LIGHT_LEVEL)
ENCODER_MARKS = (
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
)
"""UUIDs under which x264 and x265 note their own settings, which do not hold for the output."""
ATSC = b"\xb5\x00\x31"
"""Country and provider of A/53 in ITU-T T.35; MPEG-2 user data begin right behind them."""
NAMES = {
    ATSC + b"GA94": "closed captions",
    ATSC + b"DTG1": "active format description",
    b"\xb5\x00\x3c\x00\x01\x04": "HDR10+ metadata",
    b"\x26\x00\x04\x00\x05": "HDR Vivid metadata",
}
SEI_NAMES = {
    T35: "registered user data",
    UNREGISTERED: "user data",
    FRAME_PACKING: "stereo frame packing",
    TIMECODE: "timecode",
    MASTERING: "mastering display metadata",
    LIGHT_LEVEL: "content light level",
}
DOLBY_VISION = 62
"""NAL unit type of Dolby Vision's metadata in HEVC."""
MPEG2_USER_DATA = b"\x00\x00\x01\xb2"
READERS = ("h264", "hevc", "mpeg2video", "av1", "libdav1d", "libaom-av1")
START = b"\x00\x00\x00\x01"


@dataclass(frozen=True)
class Message:
    """A message of a picture.

    Attributes:
        kind: SEI payload type.
        payload: Its bytes, without emulation prevention.
    """

    kind: int
    payload: bytes

    @property
    def name(self) -> str:
        """Its name in warnings."""
        known = (name for prefix, name in NAMES.items() if self.kind == T35 and self.payload.startswith(prefix))
        return next(known, SEI_NAMES[self.kind])


@dataclass
class PictureMessages:
    """The messages of a source's pictures.

    Attributes:
        of_frame: By number of the frame.
        unplaced: How many packets with messages belong to no frame, by name of the messages.
        dolby_vision: How many pictures have Dolby Vision metadata, which are not carried.
    """

    of_frame: dict[int, list[Message]] = field(default_factory=dict)
    unplaced: Counter[str] = field(default_factory=Counter)
    dolby_vision: int = 0

    def lost(self, codec: str) -> Counter[str]:
        """Number of pictures that lose messages of each name in another codec.

        Args:
            codec: FFmpeg's canonical name; "" loses all.
        """
        counts = Counter(
            name
            for messages in self.of_frame.values()
            for name in {message.name for message in messages if not can_hold(message, codec)}
        )
        return counts + Counter({"Dolby Vision metadata": self.dolby_vision})


def read_messages(info: VideoInfo, pts: np.ndarray) -> PictureMessages:
    """The messages of a video's frames, from its packets; nothing is decoded.

    Args:
        info: The source.
        pts: (N,) ticks of info.time_base, one a frame.
    """
    found = PictureMessages()
    if info.format_name == SEQUENCE or info.codec not in READERS:
        return found
    numbers = {int(tick): number for number, tick in enumerate(pts)}
    with open_input(info.path) as container:
        stream = container.streams[info.stream_index]
        length_size = 0
        if info.codec in ("h264", "hevc"):
            length_size = _length_size(info.codec, bytes(stream.codec_context.extradata or b""))
        packets = unwrap_timestamps(read_packets(container, [stream]), stream, container.format.name)
        for packet, _ in packets:
            if packet.is_discard:
                continue
            messages, dolby = messages_of(bytes(packet), info.codec, length_size)
            found.dolby_vision += dolby
            number = None if packet.pts is None else numbers.get(packet.pts)
            if messages and number is None:
                found.unplaced.update({message.name for message in messages})
            elif messages and number is not None:
                found.of_frame.setdefault(number, []).extend(messages)
    return found


def messages_of(data: bytes, codec: str, length_size: int) -> tuple[list[Message], bool]:
    """The messages in a packet, and whether it holds Dolby Vision metadata.

    Args:
        data: The packet.
        codec: FFmpeg's name of its codec.
        length_size: Bytes of a NAL unit's length, 0 for start codes.
    """
    if codec == "mpeg2video":
        return list(_mpeg2(data)), False
    if codec not in ("h264", "hevc"):
        return list(_obus(data)), False
    messages: list[Message] = []
    dolby = False
    for unit in split_units(data, length_size):
        kind = _unit_kind(unit, codec)
        dolby |= codec == "hevc" and kind == DOLBY_VISION
        if kind in ((6,) if codec == "h264" else (39, 40)):
            messages += _sei(_unescaped(unit[1 if codec == "h264" else 2 :]))
    return [message for message in messages if _is_kept(message)], dolby


def with_messages(data: bytes, messages: list[Message], codec: str) -> bytes:
    """A coded picture with messages put before its first slice.

    Args:
        data: The packet of an encoder: NAL units with start codes, or OBUs.
        messages: Of the picture.
        codec: FFmpeg's canonical name.

    Returns:
        The packet; itself where it holds messages of the same names already, as a copied packet of the source does.
    """
    own = {message.name for message in messages_of(data, codec, 0)[0]}
    missing = [message for message in messages if message.name not in own and _is_ours_to_write(message, codec)]
    if not missing:
        return data
    if codec == "av1":
        return _with_obus(data, missing)
    header, kind = (b"\x06", (1, 2, 3, 4, 5)) if codec == "h264" else (b"\x4e\x01", tuple(range(32)))
    sei = START + header + _escaped(b"".join(map(_sei_message, missing)) + b"\x80")
    place = 0
    for unit in split_units(data, 0):
        at = data.index(unit, place)
        if _unit_kind(unit, codec) in kind:
            start = at - 4 if data[at - 4 : at] == START else at - 3
            return data[:start] + sei + data[start:]
        place = at + len(unit)
    return data


def can_hold(message: Message, codec: str) -> bool:
    """Whether pictures of a codec can hold a message."""
    if codec == "h264":
        return message.kind != TIMECODE
    return codec == "hevc" or (codec == "av1" and message.kind == T35)


def _is_ours_to_write(message: Message, codec: str) -> bool:
    # x265 gets mastering data and light levels as options and writes them itself.
    written = codec == "hevc" and message.kind in (MASTERING, LIGHT_LEVEL)
    return can_hold(message, codec) and not written


def _is_kept(message: Message) -> bool:
    return message.kind in KEPT and not (message.kind == UNREGISTERED and message.payload[:16] in ENCODER_MARKS)


def _length_size(codec: str, header: bytes) -> int:
    if codec == "h264":
        return parameter_sets(header).length_size
    return (header[21] & 3) + 1 if len(header) > 22 and header[0] == 1 else 0


def _unit_kind(unit: bytes, codec: str) -> int:
    if not unit:
        return -1
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def _sei(data: bytes) -> Iterator[Message]:
    place = 0
    while place + 2 < len(data):
        kind, place = _extended(data, place)
        length, place = _extended(data, place)
        yield Message(kind, data[place : place + length])
        place += length


def _extended(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    while place < len(data) and data[place] == 255:
        value, place = value + 255, place + 1
    return (value + data[place], place + 1) if place < len(data) else (value, place)


def _sei_message(message: Message) -> bytes:
    numbers = (message.kind, len(message.payload))
    return b"".join(b"\xff" * (value // 255) + bytes([value % 255]) for value in numbers) + message.payload


def _unescaped(data: bytes) -> bytes:
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def _escaped(data: bytes) -> bytes:
    result, zeros = bytearray(), 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            result.append(3)
            zeros = 0
        result.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(result)


def _mpeg2(data: bytes) -> Iterator[Message]:
    for part in data.split(MPEG2_USER_DATA)[1:]:
        content = part.split(b"\x00\x00\x01", 1)[0]
        if content.startswith((b"GA94", b"DTG1")):
            yield Message(T35, ATSC + content)


METADATA, FRAMES, METADATA_T35 = 5, (3, 6), 4
"""OBU types: metadata; frame header and frame. Metadata type of ITU-T T.35."""


def _obus_of(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, type and content of each OBU."""
    place = 0
    while place < len(data):
        start, header = place, data[place]
        place += 2 if header & 4 else 1
        if header & 2:
            length, place = _leb128(data, place)
        else:
            length = len(data) - place
        yield start, header >> 3 & 15, data[place : place + length]
        place += length


def _obus(data: bytes) -> Iterator[Message]:
    for _, kind, content in _obus_of(data):
        if kind == METADATA and content[:1] == bytes([METADATA_T35]):
            # One bit ends the content, zeros fill it up.
            yield Message(T35, content[1:].rstrip(b"\x00")[:-1])


def _with_obus(data: bytes, messages: list[Message]) -> bytes:
    added = b""
    for message in messages:
        content = bytes([METADATA_T35]) + message.payload + b"\x80"
        added += bytes([METADATA << 3 | 2]) + _to_leb128(len(content)) + content
    place = next((start for start, kind, _ in _obus_of(data) if kind in FRAMES), None)
    return data if place is None else data[:place] + added + data[place:]


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            break
    return value, place


def _to_leb128(value: int) -> bytes:
    result = bytearray()
    while True:
        value, low = value >> 7, value & 127
        result.append(low | (128 if value else 0))
        if not value:
            return bytes(result)
