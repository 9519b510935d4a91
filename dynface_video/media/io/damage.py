"""Which frames of a damaged stream got lost, told from the packets that went in and the pictures that came out."""

from __future__ import annotations

from dataclasses import dataclass, field

from dynface_video.media.timing.index import Entry


@dataclass
class ExpectedPicture:
    """A packet that went into the decoder and whose picture has not come out yet.

    entry: for a keyframe, where in the file it is; suspect: damage may have cost its picture
    """

    entry: Entry | None
    suspect: bool


@dataclass
class DamageLedger:
    """Keeps account of expected pictures; all times in ticks.

    Not every packet without a picture is a loss: hidden reference frames, second fields and pictures that an edit list
    cuts off have packets too. So only packets near damage count: from the first sign of it (and those waiting at that
    moment) up to the next keyframe that comes out whole.
    """

    _expected: dict[int, ExpectedPicture] = field(default_factory=dict)
    _damaged: bool = False
    _last: int | None = None

    def expect(self, pts: int, entry: Entry | None) -> None:
        """A packet with this time goes into the decoder."""
        self._expected[pts] = ExpectedPicture(entry, self._damaged)

    def see_damage(self) -> None:
        """The decoder refused a packet, or a packet or picture is marked as damaged."""
        self._damaged = True
        for expected in self._expected.values():
            expected.suspect = True

    def is_surplus(self, pts: int | None, *, whole: bool) -> bool:
        """Whether a picture that came out is one too many: damage can make two of one packet, with the same time."""
        damaged = self._damaged or not whole
        return (
            damaged and pts is not None and self._last is not None and pts <= self._last and pts not in self._expected
        )

    def came_out(self, pts: int | None, *, whole: bool) -> tuple[list[int], Entry | None]:
        """A picture came out: the times of the pictures lost before it, and where it is if it is a keyframe."""
        if not whole:
            self.see_damage()
        if pts is None:
            return [], None
        own = self._expected.pop(pts, None)
        lost = self._take_lost(pts)
        self._last = pts if self._last is None else max(pts, self._last)
        entry = own.entry if own is not None else None
        if whole and entry is not None:
            self._damaged = False
        return lost, entry

    def ended(self) -> list[int]:
        """The stream is over: the times of the pictures lost at its end."""
        return self._take_lost(None)

    def _take_lost(self, before: int | None) -> list[int]:
        passed = sorted(pts for pts in self._expected if before is None or pts < before)
        taken = {pts: self._expected.pop(pts) for pts in passed}
        # Pictures before the first one that came out have nothing to be replaced by.
        return [
            pts for pts, expected in taken.items() if expected.suspect and self._last is not None and pts > self._last
        ]
