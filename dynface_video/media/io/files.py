"""Files that appear at their name only when they are complete and on the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

MAX_NAME = 255
"""Bytes of a file name on the usual file systems."""


@contextmanager
def complete_or_nothing(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Write a file completely or not at all.

    Args:
        path: The final name. An existing file there is replaced in one step.
        shared: Whether others may write the same file at the same time; each then has its own temporary file.

    Yields:
        A temporary path with the same ending beside `path`, renamed to it when the block ends without an error.
    """
    partial = path.with_name(_partial_name(path, f"-{uuid.uuid4().hex[:8]}" if shared else ""))
    try:
        yield partial
        _sync(partial)
        os.replace(partial, path)
        # Some network file systems cannot sync a folder; the file itself is safe by then.
        with suppress(OSError):
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file that is either complete or absent, even after a power cut."""
    with complete_or_nothing(path, shared=True) as partial:
        partial.write_text(text)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's whole content in hexadecimal; raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256_of(path: Path) -> str:
    """As `sha256_of`, read once a process for as long as size and time of the file stay the same."""
    status = path.stat()
    return _known_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _known_sha256(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """Write a folder completely or not at all.

    Args:
        folder: The final name. An existing folder there is replaced.

    Yields:
        A path beside `folder` that does not exist yet, renamed to it when the block ends without an error.
    """
    whole = folder.absolute()
    partial, old = (whole.with_name(f".{whole.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    try:
        yield partial
        if whole.exists():
            # Renamed first: a deletion that is interrupted would leave half of the old one.
            whole.rename(old)
        partial.rename(whole)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if old.exists() and not whole.exists():
            old.rename(whole)
        shutil.rmtree(partial, ignore_errors=True)


def named_beside(path: Path, suffix: str) -> Path:
    """The path beside a file that has its name and a suffix, such as `film.mkv.job`.

    Args:
        path: The file.
        suffix: Of ASCII characters.

    Returns:
        The path; a name that would exceed the file system's limit is cut and ends in a digest of the whole name.
    """
    name = os.fsencode(path.name)
    if len(name) + len(suffix) <= MAX_NAME:
        return path.with_name(f"{path.name}{suffix}")
    digest = hashlib.sha256(name).hexdigest()[:8]
    # Cut between characters: half of one would not be valid UTF-8.
    kept = name[: MAX_NAME - len(suffix) - len(digest) - 1].decode(errors="ignore")
    return path.with_name(f"{kept}-{digest}{suffix}")


def _partial_name(path: Path, own: str) -> str:
    name = f".{path.stem}.partial{own}{path.suffix}"
    if len(os.fsencode(name)) <= MAX_NAME:
        return name
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.partial{own}{path.suffix}"


def _sync(path: Path) -> None:
    if os.name != "posix" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
