"""Files whose clock restarts, such as recordings joined end to end, placed on one time line.

MPEG streams may restart. What follows continues where the pictures before it ended; every other stream is shifted by
the same amount, which keeps sound in sync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

RESTARTING_FORMATS = ("mpegts", "mpeg")
"""FFmpeg's names of the formats in which clocks may restart, and which are sought by byte, not by time."""
LARGEST_STEP_BACK, LARGEST_GAP = Fraction(1, 10), Fraction(600)
"""Seconds. A shorter step back is a disorder of times; a shorter step forward a gap, which stays."""
MAX_HELD = 500


@dataclass
class _ReferenceClock:
    """The clock of the pictures, which decides by how much a part is moved. offsets: ticks, one a part"""

    offsets: list[int] = field(default_factory=lambda: [0])
    last: int | None = None
    step: int = 1

    @property
    def position(self) -> int:
        """Where on the line it is."""
        return (self.last or 0) + self.offsets[-1]

    def place(self, packet: Packet, following: Packet | None) -> bool:
        """Move a packet to its place; returns whether a part begins with it."""
        now, begins = _time(packet), False
        if _is_torn(packet):
            packet.pts = None
        if now is not None and _jumps(self.last, now, packet):
            assert self.last is not None
            then = None if following is None else _time(following)
            if then is not None and then > self.last and not _jumps(self.last, then, packet):
                # A single wrong time; the next packet continues the old ones.
                packet.pts = packet.dts = None
                return False
            self.offsets.append(self.last + self.step + self.offsets[-1] - now)
            begins = True
        elif now is not None and self.last is not None and now > self.last:
            self.step = now - self.last
        self.last = self.last if now is None else now
        _move(packet, self.offsets[-1])
        return begins


@dataclass
class _FollowingClock:
    """Another stream, which comes to the same restarts a little earlier or later. part: of the leader's"""

    part: int = 0
    last: int | None = None

    def place(self, packet: Packet, leader: _ReferenceClock) -> bool:
        """Move a packet to its place; False where the leader has not come to this part yet."""
        now = _time(packet)
        if now is not None and _jumps(self.last, now, packet):
            later = range(self.part + 1, len(leader.offsets))
            if not later:
                return False
            # A stream may have nothing in some parts: the right one is where it meets the pictures.
            self.part = min(later, key=lambda part: abs(now + leader.offsets[part] - leader.position))
        self.last = self.last if now is None else now
        _move(packet, leader.offsets[self.part])
        return True


def unwrap_timestamps(
    packets: Iterable[Packet], stream: Stream, format_name: str, on_restart: Callable[[int], None] | None = None
) -> Iterator[tuple[Packet, int]]:
    """Shift packets to one continuous time line.

    Args:
        packets: In file order, of the video stream and any others.
        stream: The video stream, whose clock decides.
        format_name: FFmpeg's name of the container.
        on_restart: Receives the time, on the line, at which a part begins.

    Yields:
        Each packet and the number of ticks by which it was shifted.
    """
    if format_name not in RESTARTING_FORMATS:
        yield from ((packet, 0) for packet in packets)
        return
    line = _TimeLine(on_restart)
    waiting: Packet | None = None
    for packet in packets:
        if packet.stream_index == stream.index:
            if waiting is not None:
                yield from line.place_reference(waiting, packet)
                yield from line.place_held(all_of_them=False)
            waiting = packet
        else:
            # The picture that waits may begin a part.
            yield from line.hold(packet)
    if waiting is not None:
        yield from line.place_reference(waiting, None)
    yield from line.place_held(all_of_them=True)


class _TimeLine:
    """Shifts packets; those of other streams are held until the reference clock has reached their part."""

    def __init__(self, on_restart: Callable[[int], None] | None) -> None:
        self._on_restart = on_restart
        self._reference = _ReferenceClock()
        self._followers: dict[int, _FollowingClock] = {}
        self._held: deque[Packet] = deque()

    def place_reference(self, packet: Packet, following: Packet | None) -> Iterator[tuple[Packet, int]]:
        if self._reference.place(packet, following) and self._on_restart is not None:
            self._on_restart(self._reference.position)
        yield packet, self._reference.offsets[-1]

    def hold(self, packet: Packet) -> Iterator[tuple[Packet, int]]:
        self._followers.setdefault(packet.stream_index, _FollowingClock())
        self._held.append(packet)
        if len(self._held) > MAX_HELD:
            yield from self.place_held(all_of_them=True)

    def place_held(self, *, all_of_them: bool) -> Iterator[tuple[Packet, int]]:
        while self._held:
            first = self._held[0]
            follower = self._followers[first.stream_index]
            if not follower.place(first, self._reference):
                if not all_of_them:
                    return
                # The pictures never came to this part.
                follower.last = _time(first)
                _move(first, self._reference.offsets[follower.part])
            yield self._held.popleft(), self._reference.offsets[follower.part]


def _time(packet: Packet) -> int | None:
    return packet.dts if packet.dts is not None else packet.pts


def _jumps(last: int | None, now: int | None, packet: Packet) -> bool:
    if last is None or now is None:
        return False
    passed = (now - last) * packet.time_base
    return passed < -LARGEST_STEP_BACK or passed > LARGEST_GAP


def _is_torn(packet: Packet) -> bool:
    """Whether a packet's two times are of different parts: FFmpeg guesses some times from the packets around."""
    return packet.pts is not None and packet.dts is not None and _jumps(packet.dts, packet.pts, packet)


def _move(packet: Packet, offset: int) -> None:
    if packet.pts is not None:
        packet.pts += offset
    if packet.dts is not None:
        packet.dts += offset
