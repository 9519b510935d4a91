"""Watched folders: each video is taken once, when it is completely written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dynface_video.jobs.manifest import videos_below

INTERVAL = 5.0
"""Seconds from one look to the next."""
SETTLED = 10.0
"""Seconds without a change after which a file counts as completely written."""

State = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


@dataclass
class FolderWatch:
    """Tells which videos below folders are complete and new.

    Attributes:
        folders: What is watched, with everything below.
        clock: The time in seconds, as of the files.
    """

    folders: Sequence[Path]
    clock: Callable[[], float] = time.time
    _last: dict[Path, State] = field(default_factory=dict, init=False)
    _taken: dict[Path, State] = field(default_factory=dict, init=False)

    def take(self) -> set[str]:
        """The videos that are complete and were not taken in this state, which now count as taken.

        A video is complete when it is not empty, has not changed since the last call, and not for `SETTLED` seconds.
        """
        now, present = self.clock(), dict(self._states())
        before, self._last = self._last, present
        complete = {
            path: state
            for path, state in present.items()
            if state[0] > 0 and before.get(path) == state and now - state[1] / 1e9 >= SETTLED
        }
        new = {path: state for path, state in complete.items() if self._taken.get(path) != state}
        self._taken |= new
        return {str(path) for path in new}

    def _states(self) -> Iterator[tuple[Path, State]]:
        for folder in self.folders:
            for path in videos_below(folder):
                try:
                    found = path.stat()
                except FileNotFoundError:
                    # Renamed or deleted in the meantime.
                    continue
                yield path, (found.st_size, found.st_mtime_ns)


def watch(folders: FolderWatch, restore: Callable[[Callable[[str], bool]], bool]) -> None:
    """Restore what appears in folders until a signal asks to stop.

    Args:
        folders: The folders.
        restore: Restores the videos for which the given function is true; returns whether to go on.
    """
    while True:
        complete = folders.take()
        if complete and not restore(complete.__contains__):
            return
        time.sleep(INTERVAL)
