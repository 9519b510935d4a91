"""Selection of the packets of a trimmed source that may be copied: none that its edit lists hide.

A file that was cut without encoding keeps what lies outside the cuts and hides it by an edit list; FFmpeg flags those
packets for discard. A copy in another container would show them again, and even a hidden copy could be extracted, so
they are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from av.packet import Packet
from av.stream import Stream

PRIMING_PACKETS = {"aac": 2, "mp3": 1, "mp3float": 1}
"""Encoders begin with this many packets of their own delay, at most, which edit lists hide as well: FFmpeg's AAC has
1024 samples, Apple's 2112. Decoders need them, and there is nothing to see in them."""
WITHOUT_CONTENT = ("data", "attachment")
"""A timecode track is one packet that begins before the cut; it holds no pictures, sound or words."""


@dataclass
class TrimFilter:
    """Passes the shown packets of one copied stream, in order.

    A leading run of discarded packets no longer than an encoder's delay is kept if shown packets follow. Video that
    refers to dropped packets cannot be decoded and is dropped up to the next keyframe.

    Attributes:
        stream: The stream of the source.
        has_edit_lists: Whether the output can hide the part of a packet before time zero. If not, the packet across a
            cut at the beginning is dropped as well: sound begins up to one packet late instead of early.
        undecodable: Number of dropped packets that are shown in the source.
    """

    stream: Stream
    has_edit_lists: bool
    undecodable: int = 0
    _priming: list[Packet] = field(default_factory=list)
    _begun: bool = False
    _broken: bool = False
    _trimmed: bool = False

    def feed(self, packet: Packet) -> Iterator[Packet]:
        """Take the next packet; yields those that may be copied now."""
        if self.stream.type in WITHOUT_CONTENT:
            yield packet
        elif packet.is_discard or self._is_across_the_cut(packet):
            self._hide(packet)
        elif self._is_decodable(packet):
            yield from self._priming
            yield packet
            self._begun = True
            self._priming.clear()

    def _hide(self, packet: Packet) -> None:
        self._broken = True
        if self._begun:
            return
        self._priming.append(packet)
        context = self.stream.codec_context
        if len(self._priming) > PRIMING_PACKETS.get(context.name if context is not None else "", 0):
            self._priming.clear()
            self._begun = self._trimmed = True

    def _is_across_the_cut(self, packet: Packet) -> bool:
        early = packet.pts is not None and packet.pts < 0
        return early and self._trimmed and not self.has_edit_lists and self.stream.type == "audio"

    def _is_decodable(self, packet: Packet) -> bool:
        if self.stream.type == "video" and self._broken and not packet.is_keyframe:
            self.undecodable += 1
            return False
        self._broken = False
        return True
