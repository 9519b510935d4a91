"""Watched folders: each video is taken once, when it is completely written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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
    _changed: set[str] = field(default_factory=set, init=False)

    @property
    def changed(self) -> set[str]:
        """Those of the last `take` that had been taken before in another state, as when a copy had only paused."""
        return self._changed

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
        self._changed = {str(path) for path in new if path in self._taken}
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


class RestoreSelected(Protocol):
    """Restores some of the videos in the watched folders."""

    def __call__(self, select: Callable[[str], bool], replace: bool = False) -> bool:
        """Restore the videos for which `select` is true; replace: also those that have an output.

        Returns:
            Whether to go on.
        """


def watch(folders: FolderWatch, restore: RestoreSelected) -> None:
    """Restore what appears in folders until a signal asks to stop.

    A video that changes after it was taken was not complete then: it is restored again, and its output replaced.

    Args:
        folders: The folders.
        restore: Restores videos.
    """
    while True:
        complete = folders.take()
        first, changed = complete - folders.changed, folders.changed
        if first and not restore(first.__contains__):
            return
        if changed and not restore(changed.__contains__, replace=True):
            return
        time.sleep(INTERVAL)
