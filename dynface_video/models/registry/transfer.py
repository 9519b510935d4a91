"""One file from one source to a partial file, which a later attempt, also of another process, resumes."""

from __future__ import annotations

import errno
import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal
from urllib.parse import urlsplit

from dynface_video.errors import DiskFullError
from dynface_video.models.registry.sources import Source

if TYPE_CHECKING:
    from requests import Response

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and those of the whole file or None."""

CHUNK = 1 << 18
FAILURES = 5
"""Attempts without a new byte after which a source is given up."""
CONNECT_TIMEOUT, READ_TIMEOUT = 15.0, 30.0
"""Seconds without an answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before an attempt; doubled each time, or what the server asks for."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes after which trying again is worth it."""
UNRESOLVED = "Failed to resolve"
"""In urllib3's message where a host name has no address. At the very beginning there is probably no network."""


class Unavailable(Exception):
    """A source does not give the file; the message says why."""


class _Passing(Exception):
    """An attempt failed in a way that another may not; pause: seconds that the server asks for."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Transfer:
    """Brings a source's file to a partial file.

    Attributes:
        source: Of the file.
        partial: Where its bytes are collected; `PARTIAL.json` beside it says of which source and version they are.
        size: Expected bytes; None if not known.
        has_digest: Whether the result will be compared with a digest. If not, a part whose version the server does not
            confirm is not continued, and a web page is not taken for the file.
        progress: Told of the bytes.
    """

    source: Source
    partial: Path
    size: int | None
    has_digest: bool
    progress: Progress

    def run(self) -> bool:
        """Fetch the whole file.

        Returns:
            Whether bytes of an earlier process are part of it.

        Raises:
            Unavailable: The source does not give it; what was received so far is kept.
            DiskFullError: There is no space left.
        """
        if isinstance(self.source.location, Path):
            self._copy(self.source.location)
            return False
        kept = self._kept()
        if kept and kept == self.size:
            return True
        resumed, best, failures = kept > 0, kept, 0
        while True:
            try:
                self._request(self.source.location)
                return resumed
            except _Passing as failure:
                received = self._received()
                failures, best = (0 if received > best else failures + 1), max(best, received)
                if failures >= FAILURES:
                    raise Unavailable(f"{failure} (tried {failures} times without a new byte)") from failure
                pause = min(max(FIRST_PAUSE * 2**failures, failure.pause), LONGEST_PAUSE)
                logger.warning("%s: %s; next attempt in %.0f s", self.source.name, failure, pause)
                time.sleep(pause)

    def _copy(self, path: Path) -> None:
        self._discard()
        try:
            total = path.stat().st_size
            with path.open("rb") as source, self._writing("wb") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    self.progress(target.tell(), total)
        except FileNotFoundError as error:
            raise Unavailable("no such file") from error
        except OSError as error:
            self._disk_full(error)
            raise Unavailable(f"cannot be read ({error.strerror})") from error

    def _request(self, url: str) -> None:
        import requests

        start = self._kept()
        headers = {"Accept-Encoding": "identity", "User-Agent": "dynface-video", **self.source.headers}
        if start:
            headers |= {"Range": f"bytes={start}-"} | self._if_range()
        try:
            with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response:
                if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{start}":
                    return  # all of it had been received
                self._check(response, start)
                self._receive(response, start if response.status_code == 206 else 0)
        except (
            requests.exceptions.SSLError,
            requests.exceptions.TooManyRedirects,
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
        ) as error:
            raise Unavailable(_reason(error)) from error
        except requests.exceptions.RequestException as error:
            if UNRESOLVED in str(error) and not self._received():
                raise Unavailable(f"the address of {urlsplit(url).hostname} is unknown: no network?") from error
            raise _Passing(_reason(error)) from error

    def _check(self, response: Response, start: int) -> None:
        """Raise unless the response holds the file from its beginning or, for 206, from `start`."""
        code = response.status_code
        if urlsplit(str(self.source.location)).scheme == "https" and not response.url.startswith("https:"):
            raise Unavailable(f"was redirected from https to {response.url}")
        if code == 416:
            self._discard()
            raise _Passing("the part that was kept does not fit the server's file")
        if code in PASSING:
            raise _Passing(f"the server answered {code} {response.reason}", _asked_pause(response))
        if code not in (200, 206):
            raise Unavailable(f"the server answered {code} {response.reason}")
        if code == 206 and _range_start(response) != start:
            self._discard()
            raise _Passing("the server sent another part than was asked for")
        if code == 206 and _version(response) != self._memory().get("version", ""):
            self._discard()
            raise _Passing("the file has changed on the server")
        if not self.has_digest and response.headers.get("Content-Type", "").startswith("text/html"):
            raise Unavailable("the server sent a web page instead of the file")

    def _receive(self, response: Response, start: int) -> None:
        import requests

        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if None not in (total, self.size) and total != self.size:
            raise Unavailable(f"holds {total} bytes, the catalogue declares {self.size}")
        if not start:
            # Before it is remembered whose bytes they are.
            self._discard()
        self._remember(response)
        try:
            with self._writing("ab" if start else "wb") as target:
                for chunk in response.iter_content(CHUNK):
                    target.write(chunk)
                    target.flush()  # so that a killed process leaves all that it received
                    self.progress(target.tell(), total or self.size)
        except OSError as error:
            self._disk_full(error)
            if isinstance(error, requests.exceptions.RequestException):
                reason = _reason(error) if "timed out" in str(error) else "the connection ended"
                raise _Passing(f"{reason} after {self._received()} of {total or self.size or 'all'} bytes") from error
            raise Unavailable(f"cannot be written to {self.partial.parent} ({error.strerror})") from error
        received = self._received()
        if total is not None and received != total:
            raise _Passing(f"the connection ended after {received} of {total} bytes")

    def _kept(self) -> int:
        """Bytes of an earlier attempt that can be continued."""
        known, received = self._memory(), self._received()
        usable = known.get("source") == self.source.name and (self.has_digest or known.get("version"))
        return received if usable else 0

    def _received(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _if_range(self) -> dict[str, str]:
        version = self._memory().get("version")
        return {"If-Range": version} if version else {}

    def _memory(self) -> dict[str, str]:
        try:
            memory = json.loads(self._memory_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return memory if isinstance(memory, dict) else {}

    def _remember(self, response: Response) -> None:
        memory = {"source": self.source.name, "version": _version(response)}
        self._memory_path.write_text(json.dumps(memory), encoding="utf-8")

    def _discard(self) -> None:
        self.partial.unlink(missing_ok=True)
        self._memory_path.unlink(missing_ok=True)

    @property
    def _memory_path(self) -> Path:
        return self.partial.with_name(self.partial.name + ".json")

    def _writing(self, mode: Literal["wb", "ab"]) -> BinaryIO:
        return self.partial.open(mode)

    def _disk_full(self, error: OSError) -> None:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"no space left in {self.partial.parent}; free some and give the same command: the download resumes"
            ) from error


def forget(partial: Path) -> None:
    """Delete a partial file and what is remembered of it."""
    for path in (partial, partial.with_name(partial.name + ".json")):
        path.unlink(missing_ok=True)


def _version(response: Response) -> str:
    """What tells one version of the file from another; "" if the server does not say."""
    tag = response.headers.get("ETag", "")
    # A weak tag does not say that the bytes are the same.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _range_start(response: Response) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _asked_pause(response: Response) -> float:
    with suppress(ValueError):
        return float(response.headers.get("Retry-After", 0))
    return 0.0


def _reason(error: Exception) -> str:
    """What happened, from the innermost message: requests wraps those of urllib3, which wrap the socket's."""
    text = str(error)
    if "timed out" in text:
        return "no answer for too long"
    inner = text.partition("(Caused by ")[2] or text
    # NewConnectionError("HTTPConnection(host='127.0.0.1', port=9): Failed to ...: [Errno 111] Connection refused")
    said = re.search(r"\[Errno [^\]]*\] ([^\"')]+)", inner) or re.search(r"[\"']([^\"']{8,})[\"']\)*$", inner)
    return said[1].strip() if said else inner.rstrip(")") or type(error).__name__
