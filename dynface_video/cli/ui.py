"""The command `ui`: the page in the browser."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from dynface_video.cli.console import complain, reporting
from dynface_video.cli.options import Config, Preset, Verbose
from dynface_video.config import load_settings
from dynface_video.errors import InputError


def ui(
    videos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[VIDEO...]",
            help="Videos and folders of videos that can be chosen on the page without an upload.",
            show_default=False,
        ),
    ] = None,
    *,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for projects, uploads and restored videos.")
    ] = Path("dynface_ui"),
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to bind; any but this machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="TCP port; 0 takes a free one.")] = 7860,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="DYNFACE_UI_TOKEN",
            help="Token that every request must carry [default: a new one if --host is not this machine].",
            show_default=False,
        ),
    ] = None,
    preset: Preset = "mini",
    config: Config = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Torch device of the networks.")
    ] = "auto",
    verbose: Verbose = False,
) -> None:
    """Open a page on this machine: drop a video, choose people, preview, restore, compare.

    Running work goes on when the page is closed. The queue is kept in the folder, and the next start continues it.
    """
    with reporting(verbose, lambda: "stopped; the same command continues the queue"):
        load_settings(preset, config, {"device": device})
        _check_installed()
        from dynface_video.ui.serve import Binding, serve
        from dynface_video.ui.server import token_for
        from dynface_video.ui.workspace import Workspace

        workspace = Workspace.open(folder, videos or [])
        options = {"preset": preset, "config": str(config.absolute()) if config else None, "device": device}
        serve(workspace, Binding(host, port, token_for(host, token)), options, _announce)


def _check_installed() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs the extra ui: pip install 'dynface-video[ui]'")


def _announce(address: str) -> None:
    complain(f"open {address} ; Ctrl-C ends the server, and the same command continues its queue")
