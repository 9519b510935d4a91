"""Serves the page: imported only by `dynface-video ui`, because it imports Gradio."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from dynface_video.errors import Interrupted
from dynface_video.ui.dispatcher import Dispatcher
from dynface_video.ui.server import App, Guard, address
from dynface_video.ui.workspace import Workspace

GRACE = 2
"""Seconds for answers under way when the server ends."""


@dataclass(frozen=True)
class Binding:
    """Where the page is served.

    Attributes:
        host: Address to bind to.
        port: TCP port; 0 takes a free one.
        token: That requests must carry; None if they need no token.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    token: str | None = None


def make_app(workspace: Workspace, token: str | None) -> App:
    """The page as an ASGI application, which sends nothing anywhere.

    Args:
        workspace: Whose projects it shows; no file outside of its folder is served.
        token: That requests must carry; None if they need no token, for a server of this machine only.
    """
    # Read by Gradio when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(workspace.uploads)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio as gr
    from fastapi import FastAPI

    from dynface_video.ui.page import STYLE, make_page, theme

    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    page = make_page(workspace).queue(api_open=True)
    app = gr.mount_gradio_app(
        api,
        page,
        path="/",
        allowed_paths=[str(workspace.folder)],
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        theme=theme(),
        css=STYLE,
    )
    return Guard(app, token)


def serve(workspace: Workspace, binding: Binding, options: Mapping[str, Any], on_ready: Callable[[str], None]) -> None:
    """Serve the page and carry out its queue until interrupted.

    Args:
        workspace: The projects.
        binding: Where to serve.
        options: Arguments of the functions of `dynface_video.api`: preset, config, device.
        on_ready: Called with the address to open.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the running request stops after the segment under way and stays in the queue.
    """
    import uvicorn

    dispatcher = Dispatcher(workspace, options)
    config = uvicorn.Config(
        make_app(workspace, binding.token),
        host=binding.host,
        port=binding.port,
        log_level="warning",
        access_log=False,
        # Pages that are open hold connections, for which it would wait.
        timeout_graceful_shutdown=GRACE,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                on_ready(address(binding.host, port, binding.token))

    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends by a signal and then raises it again, which must not end the process before its queue.
        signal.signal(number, _interrupt)
    dispatcher.start()
    try:
        Server(config).run()
    finally:
        dispatcher.close()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
