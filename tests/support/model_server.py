"""A server of files on this machine that misbehaves as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ModelServer:
    """What the server does; a test changes it.

    Attributes:
        content: The file, which every path gives but `/moved` (redirects to `/file`), `/loop` and `/away`.
        statuses: Answered one a request, before anything is given.
        cuts: Bytes after which the connections of the next requests are closed.
        stalls: Like `cuts`, but the connection stays open without a byte for `stall_seconds`.
        ranges: Whether `Range` is obeyed.
        tag: ETag; "" for none.
        heeds_if_range: Whether a range of another version is answered with the whole file.
        headers: Further headers of answers.
        length: Whether Content-Length is sent; the connection's end is the file's otherwise.
        wrong_range: Whether an answer to a range has its beginning elsewhere.
        away: Where `/away` redirects to.
    """

    content: bytes
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)
    stall_seconds: float = 1.0
    ranges: bool = True
    tag: str = '"one"'
    heeds_if_range: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = True
    wrong_range: bool = False
    away: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked_ranges(self) -> list[str | None]:
        """The `Range` of each request."""
        return [request.get("Range") for request in self.requests]


@contextmanager
def serving(content: bytes) -> Iterator[ModelServer]:
    """Serve a file on 127.0.0.1 until the block ends."""
    server = ModelServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, server)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()


def _answer(handler: BaseHTTPRequestHandler, server: ModelServer) -> None:
    with server.lock:
        server.requests.append({"path": handler.path, **handler.headers})
        status = server.statuses.pop(0) if server.statuses else 200
        cut = server.cuts.pop(0) if server.cuts else None
        stall = server.stalls.pop(0) if server.stalls else None
    places = {"/moved": "/file", "/loop": "/loop", "/away": server.away}
    if handler.path in places:
        handler.send_response(302)
        handler.send_header("Location", places[handler.path])
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    body, start = server.content, 0
    asked = handler.headers.get("Range")
    same = not server.heeds_if_range or handler.headers.get("If-Range", server.tag) == server.tag
    if status == 200 and asked and server.ranges and same:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        status, body = (206, body[start:]) if start < len(body) else (416, b"")
    if status >= 400:
        body = b""
    handler.send_response(status)
    if status == 206:
        first = start + 1 if server.wrong_range else start
        handler.send_header("Content-Range", f"bytes {first}-{len(server.content) - 1}/{len(server.content)}")
    if status == 416:
        handler.send_header("Content-Range", f"bytes */{len(server.content)}")
    if server.tag:
        handler.send_header("ETag", server.tag)
    for name, value in server.headers.items():
        handler.send_header(name, value)
    if server.length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    at = cut if cut is not None else stall
    handler.wfile.write(body if at is None else body[:at])
    handler.wfile.flush()
    if stall is not None:
        time.sleep(server.stall_seconds)
    handler.close_connection = True
