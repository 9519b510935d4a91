"""The folder of all projects: videos are added to it, and requests are queued in it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dynface_video.errors import InputError
from dynface_video.jobs.manifest import VIDEOS, videos_below
from dynface_video.ui.project import (
    COMPARE,
    FIND,
    PREVIEW,
    PROJECT,
    QUEUED,
    RESTORE,
    RUNNING,
    STOPPED,
    Project,
    Request,
)

UPLOADS = ".uploads"
"""Folder for files on their way from the browser."""
MOST_PREVIEW = 30.0
"""Longest preview, seconds."""
LONGEST_NAME = 60


@dataclass(frozen=True)
class Workspace:
    """All projects of the page.

    Attributes:
        folder: Holds a folder for each project, and nothing that others may not see.
        given: Videos elsewhere that may be added by their path.
    """

    folder: Path
    given: tuple[Path, ...] = ()

    @classmethod
    def open(cls, folder: Path, given: Sequence[Path] = ()) -> Workspace:
        """Open or make the folder.

        Args:
            folder: The folder.
            given: Videos, and folders with videos anywhere below, that may be added.

        Raises:
            InputError: One of them cannot be used.
        """
        try:
            (folder / UPLOADS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder {folder} cannot be made ({error.strerror}); name another") from error
        videos = list[Path]()
        for path in given:
            if not path.exists():
                raise InputError(f"{path} does not exist")
            videos += videos_below(path) if path.is_dir() else [path]
        return cls(folder.resolve(), tuple(path.resolve() for path in videos))

    @property
    def uploads(self) -> Path:
        """Where files from the browser arrive."""
        return self.folder / UPLOADS

    def projects(self) -> list[Project]:
        """All projects, in the order in which they were added."""
        found = [Project(path.parent) for path in self.folder.glob(f"*/{PROJECT}")]
        return sorted(found, key=lambda project: project.added)

    def project(self, name: str) -> Project:
        """A project by its name; raises InputError if there is no such project."""
        # Only names that a listing gives: a name is not a path.
        for project in self.projects():
            if project.name == name:
                return project
        raise InputError(f"there is no project {name!r}; the list of projects has the names")

    def add_upload(self, path: Path) -> Project:
        """Begin a project with an uploaded video, which is moved into it, and queue the search for its people.

        Raises:
            InputError: Not a file that was uploaded, or not a video by its extension.
        """
        if not path.resolve().is_relative_to(self.uploads.resolve()) or not path.is_file():
            raise InputError(f"{path.name} was not uploaded")
        folder = self._new_folder(path)
        source = folder / f"source{path.suffix.lower()}"
        shutil.move(path, source)
        if path.parent.resolve() != self.uploads.resolve():
            # Gradio's folder of this upload.
            with suppress(OSError):
                path.parent.rmdir()
        return self._begin(folder, source, path.name)

    def add_given(self, path: str) -> Project:
        """Begin a project with one of the given videos, which stays where it is, and queue the search for its people.

        Raises:
            InputError: It is not among them.
        """
        source = Path(path)
        if source not in self.given:
            raise InputError(f"{path} is not one of the videos that the page was started with")
        return self._begin(self._new_folder(source), source, source.name)

    def _new_folder(self, source: Path) -> Path:
        if source.suffix.lower() not in VIDEOS:
            raise InputError(f"{source.name} is not a video by its extension; the page takes {', '.join(VIDEOS)}")
        stem = re.sub(r"[^\w.-]+", "_", source.stem).strip("._")[:LONGEST_NAME] or "video"
        for number in range(1, 10_000):
            folder = self.folder / (stem if number == 1 else f"{stem}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise InputError(f"there are too many projects named {stem}")

    def _begin(self, folder: Path, source: Path, title: str) -> Project:
        project = Project.create(folder, source, title)
        project.ask(Request(FIND, time.time()))
        return project

    def request_preview(self, project: Project, start: float, seconds: float) -> None:
        """Queue a preview of a project's choice.

        Args:
            project: The project.
            start: Seconds from the video's beginning.
            seconds: Its length, at most `MOST_PREVIEW`.

        Raises:
            InputError: Its people are not found yet, it is busy, or the times cannot be used.
        """
        _check_span(start, seconds)
        self._ask(project, Request(PREVIEW, time.time(), start, seconds))

    def request_comparison(self, project: Project, start: float, seconds: float) -> None:
        """Queue a comparison of the finished video with its source; arguments and errors as of a preview."""
        _check_span(start, seconds)
        if not project.output.exists():
            raise InputError(f"{project.name} is not restored yet; a preview shows what would be done")
        self._ask(project, Request(COMPARE, time.time(), start, seconds))

    def request_restore(self, project: Project) -> None:
        """Queue the restoration of a project's choice, or let a stopped one go on; raises InputError as a preview."""
        self._ask(project, Request(RESTORE, time.time()))

    def _ask(self, project: Project, request: Request) -> None:
        if not project.analysis.exists():
            raise InputError(f"the people of {project.name} are not found yet; wait for that first")
        if project.state in (RUNNING, QUEUED):
            raise InputError(f"{project.name} is {project.state}; wait for it or stop it first")
        if not project.choice:
            raise InputError("no person is chosen; tick one first")
        project.ask(request)

    def stop(self, project: Project, *, now: bool = False) -> None:
        """Stop the queued or running request; finished segments are kept for a later request.

        Args:
            project: The project.
            now: Do not finish the current segment.
        """
        request = project.request
        if request is not None:
            project.ask(replace(request, stop="now" if now else "after"))

    def proceed(self, project: Project) -> None:
        """Queue a stopped request again."""
        request = project.request
        if request is None or project.state != STOPPED:
            raise InputError(f"{project.name} is not stopped")
        project.ask(replace(request, stop="", since=time.time()))

    def remove(self, project: Project) -> None:
        """Delete a project with all its files, not a given video elsewhere; raises InputError while it is running."""
        if project.is_running():
            raise InputError(f"{project.name} is running; stop it first")
        shutil.rmtree(project.folder)


def _check_span(start: float, seconds: float) -> None:
    if not 0 < seconds <= MOST_PREVIEW or start < 0:
        raise InputError(f"a clip has up to {MOST_PREVIEW:g} seconds and begins at 0 or later")
