"""Presentation times that strictly increase, whatever the file says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from dynface_video.media.io.decode import DecodedPicture

MAX_HELD = 8
"""Pictures that wait, at most, for a later one with a good time."""


def with_increasing_times(
    pictures: Iterator[DecodedPicture], step: int, on_repair: Callable[[int, str], None]
) -> Iterator[tuple[DecodedPicture, int]]:
    """Give every picture a strictly increasing time, the file's own wherever possible.

    Pictures without a time, or with a repeated or earlier one, are spread evenly up to the next picture with a valid
    time, at most one `step` apart, which leaves later times unchanged.

    Args:
        pictures: In presentation order.
        step: Ticks from one frame to the next.
        on_repair: Receives the first repaired time and what was wrong, once for consecutive repairs.
    """
    last: int | None = None
    held: list[DecodedPicture] = []
    reported = False
    for picture in itertools.chain(pictures, [None]):
        pts = None if picture is None else picture.pts
        fits = pts is not None and (last is None or pts > last + len(held))
        if picture is not None and not fits and len(held) < MAX_HELD:
            held.append(picture)
            continue
        if held:
            times = _spread(last, pts if fits else None, len(held), step)
            if not reported:
                on_repair(times[0], _what(held))
            yield from zip(held, times, strict=True)
            held, last, reported = [], times[-1], True
        if picture is not None and pts is not None and fits:
            yield picture, pts
            last, reported = pts, False
        elif picture is not None:
            held.append(picture)


def _spread(last: int | None, following: int | None, count: int, step: int) -> list[int]:
    """Times between a last one and a following one, either of which may be missing."""
    if last is None:
        first = 0 if following is None else following - step * count
        if following is None or first >= 0 or following <= count:
            return [first + step * n for n in range(count)]
        # There is room above zero, if not for whole steps.
        last = -1
    room = step * (count + 1) if following is None else min(step * (count + 1), following - last)
    return [last + room * n // (count + 1) for n in range(1, count + 1)]


def _what(pictures: Sequence[DecodedPicture]) -> str:
    one = len(pictures) == 1
    if pictures[0].pts is None:
        return "a frame has no time" if one else "frames have no times"
    return "a frame's time is not after the one before" if one else "frames' times go back"
