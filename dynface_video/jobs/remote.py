"""Inputs and outputs at URLs, such as s3://bucket/key: downloaded to, and uploaded from, a working folder.

Every protocol of fsspec can be used whose driver is installed (`s3fs` for s3://, `gcsfs` for gs://). The work itself is
done on local files: a video is decoded at many positions at once, and a job's directory needs atomic renames.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError, JobError
from dynface_video.media.io.files import complete_or_nothing

EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Optional dependencies of this package by protocol."""


def is_remote(path: str) -> bool:
    """Whether a path is a URL, such as s3://bucket/key.

    Args:
        path: As given by the user.
    """
    return "://" in path


def as_given(path: Path | str) -> str:
    """Return a path or URL as the user gave it: a `Path` has lost one of the slashes of `s3://`.

    Args:
        path: A path, a URL, or a `Path` made from a URL.
    """
    text = str(path)
    match = re.fullmatch(r"([a-z][a-z0-9+]+):/([^/].*)", text)
    return f"{match[1]}://{match[2]}" if match and not Path(text).exists() else text


def working_folder(setting: Path | None) -> Path:
    """The folder for local copies of remote files; the same in every run, so that an interrupted one can be resumed.

    Args:
        setting: `execution.work`; None for a folder of this user among the system's temporary files.
    """
    user = os.getuid() if os.name == "posix" else getpass.getuser()
    return setting or Path(tempfile.gettempdir()) / f"dynface-video-{user}"


def local_name(url: str, work: Path) -> Path:
    """The local copy of a remote file: its own name, in a folder named by a digest of the URL.

    Args:
        url: Of the remote file.
        work: The working folder.
    """
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return work / digest / url.rstrip("/").rpartition("/")[2]


def download(url: str, work: Path) -> Path:
    """Download a remote file, unless a local copy of the same size exists.

    Args:
        url: Of the remote file.
        work: The working folder.

    Returns:
        The local copy.

    Raises:
        InputError: It cannot be downloaded.
    """
    system, path = _file_system(url)
    local = local_name(url, work)
    try:
        size = system.size(path)
        if local.exists() and local.stat().st_size == size:
            return local
        local.parent.mkdir(parents=True, exist_ok=True)
        with complete_or_nothing(local, shared=True) as partial:
            system.get_file(path, str(partial))
    except Exception as error:  # every driver raises its own exceptions
        raise InputError(f"{url} cannot be downloaded ({type(error).__name__}: {error})") from error
    return local


def local_source(given: Path | str, work: Path | None) -> Path:
    """A source as a local file, downloaded if it is at a URL.

    Args:
        given: A path or a URL.
        work: As of `working_folder`.

    Raises:
        InputError: It cannot be downloaded.
    """
    source = as_given(given)
    return download(source, working_folder(work)) if is_remote(source) else Path(given)


def exists(url: str) -> bool:
    """Whether a remote file exists.

    Args:
        url: Of the remote file.

    Raises:
        InputError: It cannot be determined.
    """
    system, path = _file_system(url)
    try:
        return bool(system.exists(path))
    except Exception as error:  # as above
        raise InputError(f"{url} cannot be accessed ({type(error).__name__}: {error})") from error


def check_uploadable(url: str) -> None:
    """Check that files can be uploaded to a URL.

    Args:
        url: Of the output.

    Raises:
        InputError: Its protocol is for reading only.
    """
    if _protocol(url) in ("http", "https"):
        raise InputError(f"{url}: files cannot be uploaded by {_protocol(url)}; choose a local output or another store")


def upload(local: Path, url: str) -> None:
    """Upload a file, which gets its name only when it is complete, and delete the local copy.

    Args:
        local: The file.
        url: Where it goes.

    Raises:
        JobError: It cannot be uploaded; the local copy is kept, and the same command tries again.
    """
    system, path = _file_system(url)
    folder = path.rpartition("/")[0]
    partial = f"{folder}/.{uuid.uuid4().hex}.partial"
    try:
        system.makedirs(folder, exist_ok=True)
        # An object store has no half-written objects, and renaming one would copy it.
        first = partial if "local" in _protocols(system) or "file" in _protocols(system) else path
        system.put_file(str(local), first)
        if first != path:
            system.mv(first, path)
        if system.size(path) != local.stat().st_size:
            raise OSError("the uploaded file has a different size")
    except Exception as error:  # as above
        raise JobError(f"{local} could not be uploaded to {url} ({type(error).__name__}: {error})") from error
    local.unlink()


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(_protocol(url))
        remedy = f'install it with: pip install "dynface-video[{extra}]"' if extra else str(error)
        raise InputError(f"{url} needs a driver that is not installed; {remedy}") from error
    except ValueError as error:
        raise InputError(f"{url} cannot be reached: {error}") from error
    return system, path


def _protocol(url: str) -> str:
    return url.partition("://")[0].lower()


def _protocols(system: Any) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
