"""The actions of the page as functions of JSON data: the page's own API, described in docs/ui.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynface_video.config.times import parse_time
from dynface_video.errors import InputError
from dynface_video.ui.workspace import Workspace


@dataclass(frozen=True)
class Endpoints:
    """The actions. Each raises InputError for what cannot be done. workspace: of the projects"""

    workspace: Workspace

    def named(self) -> dict[str, Callable[..., Any]]:
        """The actions by their names in the API."""
        return {
            "projects": self.projects,
            "videos": self.videos,
            "add": self.add,
            "people": self.people,
            "choose": self.choose,
            "preview": self.preview,
            "compare": self.compare,
            "restore": self.restore,
            "stop": self.stop,
            "go_on": self.go_on,
            "status": self.status,
            "remove": self.remove,
        }

    def projects(self) -> list[dict[str, Any]]:
        """All projects with their states."""
        return [project.describe() for project in self.workspace.projects()]

    def videos(self) -> list[str]:
        """The videos with which the page was started, for `add`."""
        return [str(path) for path in self.workspace.given]

    def add(self, video: str) -> dict[str, Any]:
        """Add one of the videos with which the page was started, and find its people."""
        return self.workspace.add_given(video).describe()

    def people(self, project: str) -> list[dict[str, Any]]:
        """The people of a project: number, times, frames, size, blur, estimated seconds."""
        return self.workspace.project(project).people

    def choose(self, project: str, people: dict[str, Any]) -> dict[str, Any]:
        """Choose the people to restore: the strength (0 to 1) by each one's number; others stay as they are."""
        try:
            choice = {int(number): float(strength) for number, strength in people.items()}
        except (TypeError, ValueError) as error:
            raise InputError(
                f'the people are an object of strengths by number, such as {{"1": 0.6}} ({error})'
            ) from error
        found = self.workspace.project(project)
        found.choose(choice)
        return found.describe()

    def preview(self, project: str, start: str = "0", seconds: float = 3.0) -> dict[str, Any]:
        """Restore a few seconds from a time such as 12.5 or 1:02:03, before and after side by side."""
        found = self.workspace.project(project)
        self.workspace.request_preview(found, _seconds(start), seconds)
        return found.describe()

    def compare(self, project: str, start: str = "0", seconds: float = 3.0) -> dict[str, Any]:
        """Show a few seconds of the source and of the restored video side by side."""
        found = self.workspace.project(project)
        self.workspace.request_comparison(found, _seconds(start), seconds)
        return found.describe()

    def restore(self, project: str) -> dict[str, Any]:
        """Restore the chosen people in the whole video."""
        found = self.workspace.project(project)
        self.workspace.request_restore(found)
        return found.describe()

    def stop(self, project: str, now: bool = False) -> dict[str, Any]:
        """Stop; finished work is kept. now: do not finish the current segment."""
        found = self.workspace.project(project)
        self.workspace.stop(found, now=now)
        return found.describe()

    def go_on(self, project: str) -> dict[str, Any]:
        """Go on with what was stopped."""
        found = self.workspace.project(project)
        self.workspace.proceed(found)
        return found.describe()

    def status(self, project: str) -> dict[str, Any]:
        """State, progress, choice and files of a project."""
        return self.workspace.project(project).describe()

    def remove(self, project: str) -> list[dict[str, Any]]:
        """Delete a project with its files; the projects that are left."""
        self.workspace.remove(self.workspace.project(project))
        return self.projects()


def _seconds(time: str) -> float:
    try:
        return float(parse_time(str(time)))
    except ValueError as error:
        raise InputError(str(error)) from error
