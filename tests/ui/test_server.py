"""Who may ask: this machine without a token, everybody else with it; and what the browser may load."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dynface_video.errors import InputError
from dynface_video.ui.server import Guard, address, is_loopback, token_for

TOKEN = "a-secret"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"the page"})


def ask(
    token: str | None, *headers: tuple[str, str], query: str = "", kind: str = "http"
) -> tuple[int, dict[str, str]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    scope = {
        "type": kind, "path": "/", "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }  # fmt: skip
    asyncio.run(Guard(answering, token)(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return int(sent[0]["code"]), {}
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "localhost", "[::1]:7860", "[::1]"])
def test_without_a_token_this_machine_is_answered(host: str) -> None:
    status, headers = ask(None, ("host", host))
    assert status == 200 and "default-src 'self'" in headers["content-security-policy"]
    assert "set-cookie" not in headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "[fe80::1]:7860"])
def test_a_name_that_leads_here_from_elsewhere_is_refused(host: str) -> None:
    assert ask(None, ("host", host))[0] == 403


def test_a_token_is_taken_from_header_cookie_and_address() -> None:
    assert ask(TOKEN, ("authorization", f"Bearer {TOKEN}"))[0] == 200
    assert ask(TOKEN, ("cookie", f"a=b; dynface_token={TOKEN}"))[0] == 200
    status, headers = ask(TOKEN, query=f"token={TOKEN}")
    assert status == 200
    assert headers["set-cookie"] == f"dynface_token={TOKEN}; HttpOnly; SameSite=Strict; Path=/"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], ""),
        ([("authorization", "Bearer other")], ""),
        ([("authorization", TOKEN)], ""),
        ([("cookie", "dynface_token=")], ""),
        ([("cookie", "dynface_token=other")], ""),
        ([], "token=other"),
        ([("host", "127.0.0.1")], ""),
    ],
)
def test_without_the_token_nothing_is_answered(headers: list[tuple[str, str]], query: str) -> None:
    assert ask(TOKEN, *headers, query=query)[0] == 401
    assert ask(TOKEN, *headers, query=query, kind="websocket")[0] == 1008


def test_only_a_server_of_this_machine_has_no_token() -> None:
    assert token_for("127.0.0.1", None) is token_for("localhost", None) is token_for("::1", None) is None
    made = token_for("0.0.0.0", None)
    assert made is not None and len(made) >= 32 and made != token_for("0.0.0.0", None)
    assert token_for("192.168.1.5", TOKEN) == token_for("127.0.0.1", TOKEN) == TOKEN
    assert not is_loopback("example.org")
    for token in ("", "a b", "a;b", "ä"):
        with pytest.raises(InputError, match="letters, digits"):
            token_for("127.0.0.1", token)


def test_the_address_to_open_has_the_token() -> None:
    assert address("127.0.0.1", 7860, None) == "http://127.0.0.1:7860/"
    assert address("::", 80, TOKEN) == f"http://[::]:80/?token={TOKEN}"
