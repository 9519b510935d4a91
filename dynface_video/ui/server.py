"""The server of the page: who may ask, and what the browser may load."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from dynface_video.errors import InputError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN = re.compile(r"[\w.~-]+", re.ASCII)
COOKIE = "dynface_token"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
CONTENT_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""The browser loads nothing from elsewhere. Gradio's page has inline scripts, and compiles its own in the browser."""


@dataclass(frozen=True)
class Guard:
    """Lets requests through that may be answered.

    With a token, each must have it: as `Authorization: Bearer TOKEN`, as a cookie, or once as `?token=TOKEN`, which
    sets the cookie. Without one, the server is bound to this machine, and requests by another host name are refused:
    a page elsewhere could otherwise reach it by a name that leads here.

    Attributes:
        app: Answers.
        token: None if the server is bound to this machine only.
    """

    app: App
    token: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if self.token is None:
            if _host_name(headers.get("host", "")) not in LOOPBACK_NAMES:
                await _refuse(scope, send, 403, "this page is for this machine only")
                return
            await self.app(scope, receive, _with_headers(send, None))
            return
        given, by_address = _given_token(scope, headers)
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            await _refuse(scope, send, 401, "a token is needed: open the address that the server printed")
            return
        cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/" if by_address else None
        await self.app(scope, receive, _with_headers(send, cookie))


def _given_token(scope: Scope, headers: dict[str, str]) -> tuple[str, bool]:
    """The token of a request, empty without one, and whether it is in the address."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip(), False
    in_address = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
    if in_address:
        return in_address[0], True
    found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    return (found.value if found is not None else ""), False


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    return host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host


def _with_headers(send: Send, cookie: str | None) -> Send:
    more = {
        "content-security-policy": CONTENT_POLICY,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    if cookie is not None:
        more["set-cookie"] = cookie

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in more.items()]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str, given: str | None) -> str | None:
    """The token that requests must have: the given one, else a new one unless the host is this machine only.

    Raises:
        InputError: The given one has other characters than letters, digits and `-._~`, or is empty.
    """
    if given is not None and not TOKEN.fullmatch(given):
        raise InputError("the token must be of letters, digits and -._~ (it is part of the address)")
    if given is not None or is_loopback(host):
        return given
    return secrets.token_urlsafe(24)


def address(host: str, port: int, token: str | None) -> str:
    """The address to open in a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token is not None else "")
