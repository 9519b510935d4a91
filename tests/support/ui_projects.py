"""Projects of the page as they are after the search for people, without networks."""

from __future__ import annotations

import json
from pathlib import Path

from dynface_video.ui.project import Project
from dynface_video.ui.workspace import Workspace


def uploaded(workspace: Workspace, name: str = "film.mp4", content: bytes = b"film") -> Path:
    """A file as the browser's upload leaves it."""
    path = workspace.uploads / "0a1b" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def found(workspace: Workspace, name: str = "film.mp4", people: int = 2) -> Project:
    """A project whose people are found."""
    project = workspace.add_upload(uploaded(workspace, name))
    known = [
        {"number": n, "times": [[0.0, 1.5]], "frames": 36, "size": 80.0, "seconds": 5.2} for n in range(1, people + 1)
    ]
    project.save_people(known, 0.55)
    project.analysis.write_text(json.dumps({"people": [{"number": n, "restore": True} for n in range(1, people + 1)]}))
    project.end()
    return project
