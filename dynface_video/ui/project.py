"""A video on the page: a folder that holds all that is known and wanted of it.

    project.json      the source and when it was added
    analysis.json     the first pass's result
    people.json, portraits/N.png    the people found
    choice.json       whom to restore, and how strongly
    request.json      what is to be done: queued, running, or stopped
    failure.txt       why the last request failed
    progress.json     how far the running request is
    restored.EXT      the result; until it is complete, restored.EXT.job is its job directory

Nothing else is remembered: a page that is closed, or a server that ends, loses nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError
from dynface_video.jobs.lock import is_locked
from dynface_video.jobs.manifest import TIMED
from dynface_video.media.io.files import write_atomically

PROJECT = "project.json"
FIND, PREVIEW, RESTORE, COMPARE = "find", "preview", "restore", "compare"
"""What can be requested: find the people, restore a few seconds, restore all, and compare a few seconds of both."""
NEW, QUEUED, RUNNING, STOPPED, FAILED, FOUND, FINISHED = (
    "new", "queued", "running", "stopped", "failed", "people found", "finished",
)  # fmt: skip
"""States of a project."""
WORK = "work"
"""Whose lock the process holds that works on a project."""


@dataclass(frozen=True)
class Request:
    """What is to be done for a project.

    Attributes:
        action: FIND, PREVIEW, RESTORE or COMPARE.
        since: When it was requested, seconds since 1970: the queue's order.
        start: Of a preview or comparison, seconds.
        seconds: Its length.
        stop: Empty; "after" to stop when the segment under way is finished; "now" to stop at once.
    """

    action: str
    since: float
    start: float = 0.0
    seconds: float = 3.0
    stop: str = ""


@dataclass(frozen=True)
class Project:
    """The files of a video on the page. folder: where they are."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, source: Path, title: str) -> Project:
        """Begin a project. folder: empty; source: the video, in the folder or elsewhere; title: its own file name."""
        record = {"source": str(source.absolute()), "title": title, "added": round(time.time(), 3)}
        write_atomically(folder / PROJECT, json.dumps(record))
        return cls(folder)

    @property
    def name(self) -> str:
        """Its name on the page and in the API: the folder's."""
        return self.folder.name

    @property
    def source(self) -> Path:
        """The video."""
        return Path(_read(self.folder / PROJECT)["source"])

    @property
    def title(self) -> str:
        """The video's own file name."""
        return str(_read(self.folder / PROJECT)["title"])

    @property
    def added(self) -> float:
        """When it was added, seconds since 1970."""
        return float(_read(self.folder / PROJECT)["added"])

    @property
    def output(self) -> Path:
        """The restored video."""
        ending = self.source.suffix.lower()
        return self.folder / f"restored{ending if ending in TIMED else '.mkv'}"

    @property
    def analysis(self) -> Path:
        """The first pass's result."""
        return self.folder / "analysis.json"

    @property
    def preview(self) -> Path:
        """The restored seconds."""
        return self.folder / "preview.mp4"

    @property
    def comparison(self) -> Path:
        """Before and after, side by side."""
        return self.folder / "comparison.mp4"

    @property
    def log(self) -> Path:
        """Messages of the processes that worked on it."""
        return self.folder / "log.txt"

    @property
    def progress_path(self) -> Path:
        """Progress of the running request."""
        return self.folder / "progress.json"

    @property
    def request(self) -> Request | None:
        """What is to be done; None for nothing."""
        raw = _read(self.folder / "request.json")
        return Request(**raw) if raw else None

    def ask(self, request: Request) -> None:
        """Put a request in the queue, or change it."""
        (self.folder / "failure.txt").unlink(missing_ok=True)
        write_atomically(self.folder / "request.json", json.dumps(asdict(request)))

    def end(self, failure: str = "") -> None:
        """Take the request out of the queue. failure: why it failed, for the user."""
        if failure:
            write_atomically(self.folder / "failure.txt", failure)
        (self.folder / "request.json").unlink(missing_ok=True)

    @property
    def failure(self) -> str:
        """Why the last request failed; empty if it did not."""
        with suppress(OSError):
            return (self.folder / "failure.txt").read_text()
        return ""

    @property
    def people(self) -> list[dict[str, Any]]:
        """The people found, as `ListedPerson.as_dict` gives them; empty before they were searched."""
        found: list[dict[str, Any]] = _read(self.folder / "people.json").get("people", [])
        return found

    @property
    def usual_strength(self) -> float:
        """The strength of the settings, in [0, 1], for people for whom none was chosen."""
        return float(_read(self.folder / "people.json").get("strength", 0.0))

    def save_people(self, people: list[dict[str, Any]], strength: float) -> None:
        """Keep the people found, and the settings' strength."""
        write_atomically(self.folder / "people.json", json.dumps({"strength": strength, "people": people}))

    def portrait(self, number: int) -> Path:
        """A good picture of a person."""
        return self.folder / "portraits" / f"{number}.png"

    @property
    def choice(self) -> dict[int, float]:
        """The people to restore, with the strength for each; at first all of them."""
        raw = _read(self.folder / "choice.json", None)
        if raw is None:
            return {person["number"]: self.usual_strength for person in self.people}
        return {int(number): float(strength) for number, strength in raw.items()}

    def choose(self, choice: Mapping[int, float]) -> None:
        """Choose the people to restore.

        Args:
            choice: Strength in [0, 1] by a person's number; the others stay as they are.

        Raises:
            InputError: There is no such person, or a strength is out of range.
        """
        known = [person["number"] for person in self.people]
        for number, strength in choice.items():
            if number not in known:
                numbers = ", ".join(map(str, known)) or "none yet"
                raise InputError(f"{self.name} has no person {number}; known: {numbers}")
            if not 0 <= strength <= 1:
                raise InputError(f"the strength of person {number} is {strength}; it must be at least 0 and at most 1")
        write_atomically(self.folder / "choice.json", json.dumps({str(n): choice[n] for n in sorted(choice)}))

    def is_running(self) -> bool:
        """Whether a process is working on it."""
        return is_locked(self.folder / WORK)

    @property
    def state(self) -> str:
        """NEW, QUEUED, RUNNING, STOPPED, FAILED, FOUND or FINISHED."""
        request = self.request
        if self.is_running():
            return RUNNING
        if request is not None:
            return STOPPED if request.stop else QUEUED
        if self.failure:
            return FAILED
        if self.output.exists():
            return FINISHED
        return FOUND if self.analysis.exists() else NEW

    @property
    def progress(self) -> dict[str, Any]:
        """`stage`, `done` and `total` (frames, or null) of the running request; empty before its first report."""
        return dict(_read(self.progress_path))

    def describe(self) -> dict[str, Any]:
        """The project as JSON data, for the API."""
        request, state = self.request, self.state
        return {
            "project": self.name,
            "title": self.title,
            "state": state,
            "action": request.action if request else None,
            "progress": self.progress if state == RUNNING else None,
            "failure": self.failure or None,
            "people": len(self.people),
            "choice": {str(number): strength for number, strength in self.choice.items()},
            "files": {
                name: str(path)
                for name, path in (
                    ("preview", self.preview),
                    ("comparison", self.comparison),
                    ("restored", self.output),
                )
                if path.exists()
            },
        }


def _read(path: Path, missing: Any = {}) -> Any:  # noqa: B006 - never changed
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return missing
