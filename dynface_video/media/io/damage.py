"""Frames lost in a damaged stream, found by comparing packets sent to the decoder with pictures received."""

from __future__ import annotations

from dataclasses import dataclass, field

from dynface_video.media.timing.index import Entry


@dataclass
class ExpectedPicture:
    """A packet sent to the decoder whose picture has not been received yet.

    Attributes:
        entry: Position in the file, for a keyframe.
        suspect: Whether damage may have cost its picture.
    """

    entry: Entry | None
    suspect: bool


@dataclass
class LossTracker:
    """Tracks expected pictures; all times are in ticks.

    A packet without a picture is not always a loss: hidden reference frames, second fields and pictures cut off by an
    edit list have packets too. Therefore only packets near damage count, from its first sign (including those pending
    at that moment) to the next keyframe that is received intact.
    """

    _expected: dict[int, ExpectedPicture] = field(default_factory=dict)
    _damaged: bool = False
    _last: int | None = None

    @property
    def damaged(self) -> bool:
        """Whether damage was seen and no intact keyframe since."""
        return self._damaged

    def packet_sent(self, pts: int, entry: Entry | None) -> None:
        """Record a packet with this time being sent to the decoder."""
        self._expected[pts] = ExpectedPicture(entry, self._damaged)

    def mark_damage(self) -> None:
        """Record that the decoder refused a packet, or that a packet or picture is marked as damaged."""
        self._damaged = True
        for expected in self._expected.values():
            expected.suspect = True

    def is_duplicate(self, pts: int | None, *, whole: bool) -> bool:
        """Whether a received picture is surplus: damage can make two pictures with one time from one packet."""
        damaged = self._damaged or not whole
        return (
            damaged and pts is not None and self._last is not None and pts <= self._last and pts not in self._expected
        )

    def picture_received(self, pts: int | None, *, whole: bool) -> tuple[list[int], Entry | None]:
        """Record a received picture.

        Args:
            pts: Its time.
            whole: Whether it is undamaged.

        Returns:
            The times of the pictures lost before it, and its position in the file if it is a keyframe.
        """
        if not whole:
            self.mark_damage()
        if pts is None:
            return [], None
        own = self._expected.pop(pts, None)
        lost = self._take_lost(pts)
        self._last = pts if self._last is None else max(pts, self._last)
        entry = own.entry if own is not None else None
        if whole and entry is not None:
            self._damaged = False
        return lost, entry

    def finish(self) -> list[int]:
        """End the stream; returns the times of the pictures lost at its end."""
        return self._take_lost(None)

    def _take_lost(self, before: int | None) -> list[int]:
        passed = sorted(pts for pts in self._expected if before is None or pts < before)
        taken = {pts: self._expected.pop(pts) for pts in passed}
        # Before the first decoded picture there is nothing to replace a missing picture with.
        return [
            pts for pts, expected in taken.items() if expected.suspect and self._last is not None and pts > self._last
        ]
