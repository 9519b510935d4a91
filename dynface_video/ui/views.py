"""What the page shows of a project, as HTML."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dynface_video.config.times import format_time
from dynface_video.ui.project import FAILED, FINISHED, FOUND, NEW, QUEUED, RUNNING, STOPPED, Project

FILE_ROUTE = "gradio_api/file="
"""Where Gradio serves the files of allowed folders."""
MOST_SPANS = 2
"""Times of a person that are shown."""
ACTIONS = {
    "find": "finding the people",
    "preview": "making the preview",
    "restore": "restoring",
    "compare": "comparing",
}
STAGES = {
    "begin": "loading the networks",
    "analyze": "looking for faces",
    "restore": "restoring faces",
    "assemble": "joining the segments",
    "compare": "laying frames side by side",
}
STOPPING = {
    "after": "Stopping after the segment under way, which is kept.",
    "now": "Stopping now; finished segments are kept.",
}
NEXT = {
    NEW: "",
    QUEUED: "It begins when the requests before it are done.",
    STOPPED: "Everything finished is kept. Press Go on to continue.",
    FOUND: "Tick the people to restore, look at a preview, then press Restore.",
    FINISHED: "Compare and download it below. Another choice can be restored again.",
}


def project_label(project: Project) -> str:
    """A line for the list of projects."""
    state, progress = project.state, project.progress
    share = f" {100 * progress['done'] // progress['total']} %" if state == RUNNING and progress.get("total") else ""
    return f"{project.name}: {state}{share}"


def status_html(project: Project) -> str:
    """State, progress and what to do next."""
    state, request = project.state, project.request
    action = ACTIONS.get(request.action, "") if request is not None else ""
    head = {
        RUNNING: f"{action[:1].upper()}{action[1:]}",
        QUEUED: f"Queued: {action}",
        STOPPED: f"Stopped while {action}",
        FAILED: "Failed",
        FOUND: f"{len(project.people)} people found" if len(project.people) != 1 else "1 person found",
        FINISHED: "Restored",
    }.get(state, "New")
    body = _progress_html(project, stop=request.stop if request else "") if state == RUNNING else ""
    if state == FAILED:
        body = f'<p role="alert">{escape(project.failure)}</p>'
    if state == FOUND and not project.people:
        body = "<p>No face was found that can be restored.</p>"
    elif NEXT.get(state):
        body += f"<p>{NEXT[state]}</p>"
    return f'<section aria-live="polite"><h2>{escape(project.title)}: {head}</h2>{body}</section>'


def _progress_html(project: Project, *, stop: str) -> str:
    progress = project.progress
    stage = STAGES.get(progress.get("stage", "begin"), "working")
    done, total = progress.get("done", 0), progress.get("total")
    frames = f", {done} of {total} frames" if total else f", {done} frames" if done else ""
    value = f' max="{total}" value="{done}"' if total else ""
    first = f"<p>{STOPPING[stop]}</p>" if stop else ""
    return f'<p>{stage}{frames}</p><progress style="width:100%" aria-label="progress"{value}></progress>{first}'


def video_html(path: Path, label: str) -> str:
    """A player for a video; empty while the file does not exist."""
    if not path.exists():
        return ""
    attributes = 'controls loop muted playsinline preload="metadata" style="width:100%"'
    return f'<figure><figcaption>{escape(label)}</figcaption><video {attributes} src="{_link(path)}"></video></figure>'


def download_html(path: Path, name: str) -> str:
    """A link to a file under a name of its own; empty while the file does not exist."""
    if not path.exists():
        return ""
    length, link = path.stat().st_size, f'href="{_link(path)}" download="{escape(name)}"'
    size = f"{length / 1e6:.1f} MB" if length >= 1e6 else f"{length / 1e3:.0f} kB"
    return f"<p><a {link}>Download {escape(name)}</a> ({size})</p>"


def _link(path: Path) -> str:
    # The time makes the browser load a file anew that was written again.
    return f"{FILE_ROUTE}{quote(path.as_posix())}?v={path.stat().st_mtime_ns}"


def download_name(project: Project) -> str:
    """The name of the restored video when it is saved."""
    return f"{Path(project.title).stem}_restored{project.output.suffix}"


def portrait_html(path: Path, label: str, person: dict[str, Any]) -> str:
    """The portrait of a person, with its times and size."""
    times = ", ".join(f"{format_time(start)}-{format_time(stop)}" for start, stop in person["times"][:MOST_SPANS])
    more = f" and {len(person['times']) - MOST_SPANS} more" if len(person["times"]) > MOST_SPANS else ""
    estimate = f", about {person['seconds']:.0f} s" if person.get("seconds") else ""
    style = "width:100%;max-width:192px;border-radius:6px"
    return (
        f'<figure style="margin:0"><img src="{_link(path)}" alt="{escape(label)}" style="{style}">'
        f"<figcaption><strong>{escape(label)}</strong><br>{times}{more}<br>"
        f"{person['frames']} frames, {person['size']:.0f} px{estimate}</figcaption></figure>"
    )
