"""Inputs and outputs of other places, such as s3://bucket/key: fetched to, and sent from, a working folder.

All that fsspec knows can be used where its driver is installed (`s3fs` for s3://, `gcsfs` for gs://). The work itself
is done on files: a video is decoded from many places at once, and a job's directory needs renames that are all or
nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

from dynface_video.errors import InputError, JobError
from dynface_video.media.io.files import complete_or_nothing


def is_remote(path: str) -> bool:
    """Whether a path is of another place, such as s3://bucket/key."""
    return "://" in path


def spelled(path: Path | str) -> str:
    """A path as it was given: a `Path` has lost one of the slashes of `s3://`."""
    text = str(path)
    swallowed = re.fullmatch(r"([a-z][a-z0-9+]+):/([^/].*)", text)
    return f"{swallowed[1]}://{swallowed[2]}" if swallowed and not Path(text).exists() else text


def working_folder(setting: Path | None) -> Path:
    """Where files of other places are kept while they are worked on; the same in the next run."""
    return setting or Path(tempfile.gettempdir()) / f"dynface-video-{os.getuid()}"


def local_name(url: str, work: Path) -> Path:
    """The place of a remote file in the working folder: its own name, in a folder of its own."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return work / digest / url.rstrip("/").rpartition("/")[2]


def fetch(url: str, work: Path) -> Path:
    """Bring a remote file here, unless it is here with the same size; raises InputError when it cannot be had."""
    system, path = _file_system(url)
    local = local_name(url, work)
    try:
        size = system.size(path)
        if local.exists() and local.stat().st_size == size:
            return local
        local.parent.mkdir(parents=True, exist_ok=True)
        with complete_or_nothing(local, shared=True) as partial:
            system.get_file(path, str(partial))
    except Exception as error:  # every driver has exceptions of its own
        raise InputError(f"{url} cannot be fetched ({type(error).__name__}: {error})") from error
    return local


def exists(url: str) -> bool:
    """Whether a remote file is there; raises InputError when that cannot be known."""
    system, path = _file_system(url)
    try:
        return bool(system.exists(path))
    except Exception as error:  # as above
        raise InputError(f"{url} cannot be looked at ({type(error).__name__}: {error})") from error


def send(local: Path, url: str) -> None:
    """Put a file to another place, under its name only when it is all there; then drop the one here.

    Raises JobError when it cannot be sent; the file here is kept, and the same command tries again.
    """
    system, path = _file_system(url)
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        system.makedirs(folder, exist_ok=True)
        # An object store has no half written objects, and a rename there is a second copy.
        whole = partial if "local" in _protocols(system) or "file" in _protocols(system) else path
        system.put_file(str(local), whole)
        if whole != path:
            system.mv(whole, path)
        if system.size(path) != local.stat().st_size:
            raise OSError("what arrived has another size")
    except Exception as error:  # as above
        raise JobError(f"{local} could not be sent to {url} ({type(error).__name__}: {error})") from error
    local.unlink()


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be reached: {error}") from error
    return system, path


def _protocols(system: Any) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
