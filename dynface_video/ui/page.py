"""The page, made with Gradio: what it shows is read from the workspace's files, what is done is written there.

This module imports Gradio and is imported only by `dynface-video ui`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from dynface_video.errors import DynfaceError
from dynface_video.jobs.manifest import VIDEOS
from dynface_video.ui import views
from dynface_video.ui.endpoints import Endpoints
from dynface_video.ui.project import QUEUED, RUNNING, STOPPED, Project
from dynface_video.ui.workspace import MOST_PREVIEW, Workspace

REFRESH = 1.0
"""Seconds between two checks of the files."""
PREVIEW_SECONDS = 3.0
TITLE = "dynface-video"
INTRODUCTION = """# dynface-video
Drop a video, tick the people to restore, look at a preview, restore. Closing this page stops nothing.
"""
STYLE = """
.person { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 8px; max-width: 280px; }
#status h2 { margin: 0 0 4px 0; }
#actions { align-items: end; }
#media figure { margin: 0 0 12px 0; }
"""
BUTTONS = 7
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Shown:
    """What a page shows of a project: changes are found by comparing. Equal versions look alike."""

    labels: tuple[tuple[str, str], ...]
    selected: str | None
    status: str
    media: str
    people: str
    buttons: tuple[bool, ...]


def make_page(workspace: Workspace) -> gr.Blocks:
    """The page of a workspace."""
    page = _Page(workspace)
    return page.blocks


def theme() -> Any:
    """Gradio's own look, with the system's fonts: none is loaded from elsewhere."""
    own = gr.themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    # Darker than Gradio's, whose contrast is too low to read.
    return own.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_cancel_background_fill="#b91c1c",
        button_cancel_background_fill_hover="#991b1b",
        button_cancel_background_fill_dark="#b91c1c",
    )


class UploadsOnly(gr.Blocks):
    """A page that takes no file from a client but those that were uploaded.

    Gradio copies a file that a request names into its cache, from where it can be fetched. It checks where the file
    is only for pages that were started by `launch`; and it downloads addresses.
    """

    uploads: Path

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False) -> Any:
        """Check the files that a request names, then prepare its arguments."""
        check_uploaded(inputs, self.uploads)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def check_uploaded(data: Any, uploads: Path) -> None:
    """Check that every file that JSON data names is an upload.

    Args:
        data: Arguments of a request.
        uploads: The folder of uploads.

    Raises:
        gradio.Error: One is not.
    """
    if isinstance(data, dict):
        path = data.get("path")
        if isinstance(path, str) and not Path(path).resolve().is_relative_to(uploads.resolve()):
            raise gr.Error(f"{path} was not uploaded", print_exception=False)
        data = list(data.values())
    if isinstance(data, list | tuple):
        for item in data:
            check_uploaded(item, uploads)


class _Page:
    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.actions = workspace, Endpoints(workspace)
        self.blocks = UploadsOnly(title=TITLE, analytics_enabled=False)
        self.blocks.uploads = workspace.uploads
        with self.blocks:
            gr.Markdown(INTRODUCTION)
            with gr.Row():
                with gr.Column(scale=1, min_width=280):
                    self._make_sources()
                with gr.Column(scale=3, min_width=320):
                    self._make_project()
            self._connect()
            for name, action in self.actions.named().items():
                gr.api(_told(action), api_name=name, api_description=(action.__doc__ or "").strip())
            gr.api(_told(self._receive), api_name="upload", api_description=(self._receive.__doc__ or "").strip())

    def _make_sources(self) -> None:
        self.upload = gr.File(label="Video", file_types=list(VIDEOS), type="filepath", height=140)
        self.given = gr.Dropdown(
            [(path.name, str(path)) for path in self.workspace.given],
            value=None,
            label="Videos of this machine",
            visible=bool(self.workspace.given),
        )
        self.selected = gr.Radio([], label="Projects", elem_id="projects")
        self.remove = gr.Button("Remove this project", size="sm", variant="stop", interactive=False)

    def _make_project(self) -> None:
        self.status = gr.HTML(elem_id="status")
        with gr.Row():
            self.stop = gr.Button("Stop", interactive=False)
            self.stop_now = gr.Button("Stop now", interactive=False)
            self.go_on = gr.Button("Go on", interactive=False)
        self.people_version = gr.State("")
        gr.render(inputs=[self.selected], triggers=[self.people_version.change])(self._show_people)
        with gr.Row(elem_id="actions"):
            self.start = gr.Textbox("0:00", label="From (12.5, 1:02:03)", min_width=120)
            self.seconds = gr.Number(
                PREVIEW_SECONDS,
                label="Seconds",
                minimum=0.2,
                maximum=MOST_PREVIEW,
                step=0.1,
                precision=1,
                min_width=100,
            )
            self.preview = gr.Button("Preview", interactive=False, min_width=120)
            self.compare = gr.Button("Compare", interactive=False, min_width=120)
            self.restore = gr.Button("Restore", variant="primary", interactive=False, min_width=120)
        self.media = gr.HTML(elem_id="media")
        self.shown = gr.State(None)

    def _connect(self) -> None:
        view = [self.selected, self.status, self.media, self.people_version, self.shown, *self._buttons()]
        looking: dict[str, Any] = {"inputs": [self.selected, self.shown], "outputs": view, **PRIVATE}
        gr.Timer(REFRESH).tick(self._look, **looking)
        self.blocks.load(self._look, **looking)
        self.selected.input(self._look, **looking)
        self.upload.upload(_told(self._upload), [self.upload], [self.upload, self.selected], **PRIVATE)
        self.given.input(_told(self._add_given), [self.given], [self.given, self.selected], **PRIVATE)
        for button, action in (
            (self.stop, self.actions.stop),
            (self.stop_now, lambda project: self.actions.stop(project, True)),
            (self.go_on, self.actions.go_on),
            (self.restore, self.actions.restore),
        ):
            button.click(_told(_silent(action)), [self.selected], [], **PRIVATE)
        for button, action in ((self.preview, self.actions.preview), (self.compare, self.actions.compare)):
            button.click(_told(_silent(action)), [self.selected, self.start, self.seconds], [], **PRIVATE)
        self.remove.click(
            _told(self._remove), [self.selected], [self.selected], **PRIVATE,
            js="(name) => confirm('Delete ' + name + ' and its restored video?') ? name : null",
        )  # fmt: skip

    def _buttons(self) -> list[gr.Button]:
        return [self.stop, self.stop_now, self.go_on, self.preview, self.compare, self.restore, self.remove]

    def _upload(self, path: str) -> tuple[None, Any]:
        return None, self._radio(self.workspace.add_upload(Path(path)).name)

    def _receive(self, video: gr.FileData) -> dict[str, Any]:
        """Add a video of the client's machine, which it uploads, and find its people."""
        # Gradio hands the client's object over as it came: the workspace checks that the file is an upload.
        path = video["path"] if isinstance(video, dict) else video.path
        return self.workspace.add_upload(Path(path)).describe()

    def _add_given(self, path: str) -> tuple[None, Any]:
        return None, self._radio(self.workspace.add_given(path).name)

    def _remove(self, name: str | None) -> Any:
        if name is None:
            return gr.skip()
        self.workspace.remove(self.workspace.project(name))
        return self._radio(None)

    def _radio(self, selected: str | None) -> Any:
        choices = self._choices()
        names = [name for _, name in choices]
        return gr.Radio(choices, value=selected if selected in names else (names[-1] if names else None))

    def _choices(self) -> list[tuple[str, str]]:
        return [(views.project_label(one), one.name) for one in self.workspace.projects()]

    def _look(self, selected: str | None, shown: Shown | None) -> list[Any]:
        """Read the files, and update what has changed on the page."""
        now = self._shown(selected)
        if now == shown:
            return [gr.skip()] * (5 + BUTTONS)
        return [
            self._listing(selected, now, shown),
            now.status,
            now.media if shown is None or shown.media != now.media else gr.skip(),
            now.people,
            now,
            *[gr.Button(interactive=enabled) for enabled in now.buttons],
        ]

    def _listing(self, selected: str | None, now: Shown, shown: Shown | None) -> Any:
        if now.selected != selected:
            return self._radio(now.selected)
        # Without a value: the user may have selected another project meanwhile.
        return gr.skip() if shown is not None and shown.labels == now.labels else gr.Radio(self._choices())

    def _shown(self, selected: str | None) -> Shown:
        projects = {project.name: project for project in self.workspace.projects()}
        labels = tuple((name, views.project_label(project)) for name, project in projects.items())
        if selected not in projects:
            selected = next(reversed(projects), None)
        if selected is None:
            return Shown(labels, None, "<p>No project yet.</p>", "", "", (False,) * BUTTONS)
        project = projects[selected]
        return Shown(
            labels, selected, views.status_html(project), _media(project), _people_version(project), _enabled(project)
        )

    def _show_people(self, name: str | None) -> None:
        """One card for each person: the portrait, a tick, and the strength."""
        if name is None:
            return
        try:
            project = self.workspace.project(name)
        except DynfaceError:
            return
        choice, people = project.choice, project.people
        if not people:
            return
        with gr.Row():
            for person in people:
                with gr.Column(min_width=180, elem_classes="person"):
                    self._show_person(project, person, choice)

    def _show_person(self, project: Project, person: dict[str, Any], choice: dict[int, float]) -> None:
        number = person["number"]
        label = f"Person {number}"
        if project.portrait(number).exists():
            gr.HTML(views.portrait_html(project.portrait(number), label, person))
        restored = gr.Checkbox(number in choice, label=f"Restore person {number}", interactive=True)
        strength = gr.Slider(
            0,
            1,
            choice.get(number, project.usual_strength),
            step=0.05,
            label=f"Strength of person {number}",
            interactive=True,
        )

        def change(wanted: bool, strength: float) -> None:
            now = project.choice
            now.pop(number, None)
            project.choose(now | {number: strength} if wanted else now)

        for event in (restored.input, strength.change):
            event(
                _told(change), [restored, strength], [], concurrency_id="choice", concurrency_limit=1,
                trigger_mode="always_last", **PRIVATE,
            )  # fmt: skip


def _enabled(project: Project) -> tuple[bool, ...]:
    """Which buttons of `_Page._buttons` can be pressed."""
    state = project.state
    busy, ready = state in (RUNNING, QUEUED), bool(project.people)
    idle = ready and not busy
    finished = idle and project.output.exists()
    return busy, state == RUNNING, state == STOPPED, idle, finished, idle, state != RUNNING


def _people_version(project: Project) -> str:
    """Changes when the people of a project are found, or another project is shown."""
    path = project.analysis
    return f"{project.name}:{path.stat().st_mtime_ns if path.exists() and project.people else 0}"


def _media(project: Project) -> str:
    return (
        views.video_html(project.preview, "Preview: before (left) and after (right)")
        + views.video_html(project.comparison, "Restored: before (left) and after (right)")
        + views.download_html(project.output, views.download_name(project))
    )


def _silent(action: Callable[..., Any]) -> Callable[..., None]:
    def act(*arguments: Any) -> None:
        action(*arguments)

    return act


def _told(action: Callable[..., Any]) -> Callable[..., Any]:
    """The action with errors of this package shown on the page."""

    @wraps(action)
    def act(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except DynfaceError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return act
