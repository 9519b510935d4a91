"""From packets to pictures, whatever state the file is in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from dynface_video.media.container import read_packets
from dynface_video.media.damage import DamageLedger

WARNINGS = 10


@dataclass(frozen=True)
class DecodedPicture:
    """A picture as the decoder gave it, or the one before it in place of a lost one.

    pts: ticks, as in the file, None where the file gives none; seek_time: where it is a keyframe, the time to seek to
    """

    picture: av.VideoFrame
    pts: int | None
    seek_time: int | None = None
    repeated: bool = False


class DamageReport:
    """Passes the first few warnings about damage on, counts the rest and says at the end how many there were."""

    def __init__(self, name: str, on_warning: Callable[[str], None] | None) -> None:
        self._name, self._on_warning, self._count = name, on_warning, 0

    def __call__(self, message: str, time: Fraction | None = None) -> None:
        """Warn of one place. time: where it is, seconds."""
        self._count += 1
        if self._on_warning is not None and self._count <= WARNINGS:
            place = "" if time is None else f" at {float(time):.3f} s"
            self._on_warning(f"{self._name}{place}: {message}")

    def close(self) -> None:
        """Say how much was left unsaid."""
        if self._on_warning is not None and self._count > WARNINGS:
            self._on_warning(f"{self._name}: {self._count - WARNINGS} more places are damaged")


def prepare(container: InputContainer, stream: VideoStream) -> None:
    """Set a freshly opened stream up for decoding that is the same on every machine and from every place."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    context = stream.codec_context
    context.thread_count = 1
    # The inverse DCTs of MPEG-1, 2 and 4 differ in the last bit between processors unless told not to.
    context.flags |= CodecFlags.bitexact
    if context.name == "h264":
        # Without the real reorder depth the decoder guesses it, and after a seek guesses anew, dropping pictures.
        context.options = {"strict": "1"}
    if context.name == "hevc":
        # Without it one lost picture takes all that refer to it along, up to the next keyframe.
        context.flags |= CodecFlags.output_corrupt


def decode_pictures(container: InputContainer, stream: VideoStream, report: DamageReport) -> Iterator[DecodedPicture]:
    """Every picture from the current position on, in the decoder's order.

    A packet that cannot be decoded costs its picture only: the one before is given in its place, so that the count and
    the sound stay right.
    """
    ledger = DamageLedger()
    last: av.VideoFrame | None = None
    packets = read_packets(container, [stream], lambda why: report(f"a part of the file cannot be read ({why})"))
    # None at the end empties the decoder.
    for packet in itertools.chain(packets, [None]):
        if packet is not None and packet.pts is not None and not packet.is_discard:
            ledger.expect(packet.pts, seek_time(packet, container))
        for picture in _decode(stream, packet, ledger, report):
            whole = not picture.is_corrupt
            if ledger.is_surplus(picture.pts, whole=whole):
                continue
            lost, own_seek_time = ledger.came_out(picture.pts, whole=whole)
            if last is not None:
                yield from _repeated(last, lost, stream, report)
            yield DecodedPicture(picture, picture.pts, own_seek_time)
            last = picture
    if last is not None:
        yield from _repeated(last, ledger.ended(), stream, report)


def seek_time(packet: Packet, container: InputContainer) -> int | None:
    """Where to seek to for this packet, in ticks; None where it is no keyframe."""
    if not packet.is_keyframe:
        return None
    # Matroska's index holds presentation times, those of the others decoding times.
    if packet.dts is None or "matroska" in container.format.name:
        return packet.pts
    return packet.dts


def _repeated(
    last: av.VideoFrame, lost: list[int], stream: VideoStream, report: DamageReport
) -> Iterator[DecodedPicture]:
    for pts in lost:
        report("a frame is lost, the one before it is repeated", pts * (stream.time_base or Fraction(1)))
        yield DecodedPicture(last, pts, repeated=True)


def _decode(
    stream: VideoStream, packet: Packet | None, ledger: DamageLedger, report: DamageReport
) -> list[av.VideoFrame]:
    if packet is not None and packet.is_corrupt:
        ledger.see_damage()
    try:
        return stream.decode(packet)
    except av.FFmpegError as error:
        # At the end, "end of file" only says that nothing was waiting.
        if packet is not None or not isinstance(error, av.error.EOFError):
            time = packet.pts * packet.time_base if packet is not None and packet.pts is not None else None
            report(f"a packet cannot be decoded ({error.strerror or error})", time)
            ledger.see_damage()
        return []
