"""Presentation times that strictly increase, whatever the file says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dynface_video.media.decode import DecodedPicture


def with_increasing_times(
    pictures: Iterator[DecodedPicture], step: int, on_repair: Callable[[int, str], None]
) -> Iterator[tuple[DecodedPicture, int]]:
    """Each picture with its time in ticks: the file's own wherever that is later than the time before.

    A missing time, or one that repeats or goes back, is replaced by one between its neighbours, or one `step` after the
    last. on_repair is told (time given, what was wrong). One picture is held back to know the next time.
    """
    last: int | None = None
    held: DecodedPicture | None = None
    for following in pictures:
        if held is not None:
            last = _time(held, last, following.pts, step, on_repair)
            yield held, last
        held = following
    if held is not None:
        yield held, _time(held, last, None, step, on_repair)


def _time(
    picture: DecodedPicture, last: int | None, following: int | None, step: int, on_repair: Callable[[int, str], None]
) -> int:
    if picture.pts is not None and (last is None or picture.pts > last):
        return picture.pts
    if last is None:
        given = 0 if following is None else following - step
    elif following is not None and following > last + 1:
        given = last + min(step, (following - last) // 2)
    else:
        given = last + step
    on_repair(given, "a frame has no time" if picture.pts is None else "a frame's time is not after the one before")
    return given
