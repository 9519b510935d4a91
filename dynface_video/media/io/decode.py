"""Decoding packets into pictures, including those of damaged files."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream

from dynface_video.media.io.container import read_packets
from dynface_video.media.io.damage import LossTracker
from dynface_video.media.io.probe import coded_aspect
from dynface_video.media.timing.index import Entry
from dynface_video.media.timing.restarts import RESTARTING_FORMATS, unwrap_timestamps

WARNINGS = 10
RESTARTED = "the file's clock restarts here; the following part continues where the previous one ended"


@dataclass(frozen=True)
class DecodedPicture:
    """A decoded picture, or the previous one in place of a lost one.

    Attributes:
        picture: As decoded.
        pts: Ticks on a continuous time line, None where the file gives none.
        entry: Position in the file, for a keyframe.
        repeated: Whether it stands for a lost picture.
        aspect: Sample aspect ratio by the bitstream.
        after_damage: Whether damage may have cost pictures before it.
    """

    picture: av.VideoFrame
    pts: int | None
    entry: Entry | None = None
    repeated: bool = False
    aspect: Fraction = Fraction(1)
    after_damage: bool = False


class AspectTracker:
    """Sample aspect ratio of each picture; decoders report it when a packet is sent, before its picture is received."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._now = self._seen = coded_aspect(stream)
        self._changes: list[tuple[int | None, Fraction]] = []

    def packet_sent(self, packet: Packet | None) -> None:
        """Record that a packet was sent to the decoder."""
        reported = coded_aspect(self._stream)
        if reported != self._seen:
            self._seen = reported
            self._changes.append((None if packet is None else packet.pts, reported))

    def aspect_at(self, pts: int | None) -> Fraction:
        """The ratio of the next picture received, given its time."""
        while self._changes and (pts is None or (since := self._changes[0][0]) is None or since <= pts):
            self._now = self._changes.pop(0)[1]
        return self._now


class DamageReport:
    """Passes the first few warnings about damage on, counts the rest and reports their number at the end.

    Args:
        name: Of the file.
        on_warning: Told each warning; None for none.

    Attributes:
        unreadable: Whether a part of the file cannot be read.
    """

    def __init__(self, name: str, on_warning: Callable[[str], None] | None) -> None:
        self._name, self._on_warning, self._count = name, on_warning, 0
        self._general: set[str] = set()
        self._repeated: Counter[str] = Counter()
        self.unreadable = False

    def __call__(self, message: str, time: Fraction | None = None, *, once: bool = False) -> None:
        """Warn of one place.

        Args:
            message: What is wrong there.
            time: Where it is, seconds; a message without one is passed on once.
            once: Whether the file may say so all the time: only the first place is named, the others are counted.
        """
        if once:
            self._repeated[message] += 1
            if self._repeated[message] > 1:
                return
        if time is None and message in self._general:
            return
        self._general |= {message} if time is None else set()
        self._count += 1
        if self._on_warning is not None and self._count <= WARNINGS:
            place = "" if time is None else f" at {float(time):.3f} s"
            self._on_warning(f"{self._name}{place}: {message}")

    def part_unreadable(self, why: str) -> None:
        """Warn that a part of the file, of unknown length, cannot be read."""
        self.unreadable = True
        self(f"a part of the file cannot be read ({why})")

    def close(self) -> None:
        """Report how many warnings were withheld."""
        if self._on_warning is None:
            return
        if self._count > WARNINGS:
            self._on_warning(f"{self._name}: {self._count - WARNINGS} more places are damaged")
        for message, count in self._repeated.items():
            if count > 1:
                self._on_warning(f"{self._name}: {message}: the same at {count - 1} more places")


def prepare(container: InputContainer, stream: VideoStream) -> None:
    """Configure a newly opened stream so that decoding is the same on every machine and from every seek point."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    context = stream.codec_context
    context.thread_count = 1
    # The inverse DCTs of MPEG-1, 2 and 4 differ in the last bit between processors unless forbidden.
    context.flags |= CodecFlags.bitexact
    if context.name == "h264":
        # Without the real reorder depth the decoder guesses it, and after a seek guesses again, dropping pictures.
        context.options = {"strict": "1"}
    if context.name == "hevc":
        # Without it one lost picture takes all that refer to it along, up to the next keyframe.
        context.flags |= CodecFlags.output_corrupt


def decode_pictures(container: InputContainer, stream: VideoStream, report: DamageReport) -> Iterator[DecodedPicture]:
    """Decode every picture from the current position, in the decoder's output order.

    A packet that cannot be decoded costs only its own picture; the previous one is given instead, which keeps the frame
    count and the sound in sync.

    Args:
        container: The opened file.
        stream: Its video stream, after `prepare`.
        report: Receives warnings about damage.
    """
    losses, aspects = LossTracker(), AspectTracker(stream)
    last: DecodedPicture | None = None

    def unreadable(why: str) -> None:
        report.part_unreadable(why)
        losses.mark_damage()

    packets = read_packets(container, [stream], unreadable)
    base = stream.time_base or Fraction(1)
    line = unwrap_timestamps(packets, stream, container.format.name, lambda time: report(RESTARTED, time * base))
    # None at the end empties the decoder.
    position: int | None = None
    for packet, moved in itertools.chain(line, [(None, 0)]):
        if packet is not None and packet.pts is not None and not packet.is_discard:
            # Where a picture begins within a larger packet of the file, only that one's place is known.
            position = position if packet.pos is None else packet.pos
            losses.packet_sent(packet.pts, _entry(packet, moved, container, position))
        pictures = _decode(stream, packet, losses, report)
        aspects.packet_sent(packet)
        for picture in pictures:
            whole = not picture.is_corrupt
            if losses.is_duplicate(picture.pts, whole=whole):
                continue
            damaged = losses.damaged or not whole
            lost, entry = losses.picture_received(picture.pts, whole=whole)
            if last is not None:
                yield from _repeated(last, lost, stream, report)
            aspect = aspects.aspect_at(picture.pts)
            last = DecodedPicture(picture, picture.pts, entry, aspect=aspect, after_damage=damaged)
            yield last
    if last is not None:
        yield from _repeated(last, losses.finish(), stream, report)


def seek(container: InputContainer, stream: Stream, entry: Entry) -> None:
    """Seek to a keyframe or near it.

    Raises:
        FFmpegError: The file cannot be sought in.
    """
    if entry.position is None:
        container.seek(entry.time, stream=stream)
    else:
        container.seek(entry.position, stream=stream, unsupported_byte_offset=True)


def _entry(packet: Packet, moved: int, container: InputContainer, position: int | None) -> Entry | None:
    """Where a packet is in the file, None where it is no keyframe. moved: by how many ticks it was
    (`unwrap_timestamps`)"""
    if not packet.is_keyframe or packet.pts is None:
        return None
    # Matroska's index holds presentation times, those of the others decoding times.
    time = packet.pts if packet.dts is None or "matroska" in container.format.name else packet.dts
    return Entry(packet.pts - moved, time - moved, position if container.format.name in RESTARTING_FORMATS else None)


def _repeated(
    last: DecodedPicture, lost: list[int], stream: VideoStream, report: DamageReport
) -> Iterator[DecodedPicture]:
    for pts in lost:
        report("a frame is lost, the one before it is repeated", pts * (stream.time_base or Fraction(1)))
        yield DecodedPicture(last.picture, pts, repeated=True, aspect=last.aspect, after_damage=True)


def _decode(
    stream: VideoStream, packet: Packet | None, losses: LossTracker, report: DamageReport
) -> list[av.VideoFrame]:
    if packet is not None and packet.is_corrupt:
        losses.mark_damage()
    try:
        return stream.decode(packet)
    except av.FFmpegError as error:
        # At the end, "end of file" only means that nothing was waiting.
        if packet is not None or not isinstance(error, av.error.EOFError):
            time = packet.pts * packet.time_base if packet is not None and packet.pts is not None else None
            report(f"a packet cannot be decoded ({error.strerror or error})", time)
            losses.mark_damage()
        return []
