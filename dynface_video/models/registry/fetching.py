"""Fetching files of the catalogue into the cache: verified, at once or not at all, by one process at a time."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dynface_video.errors import DiskFullError, ModelError
from dynface_video.models.registry.cache import (
    FileState,
    home,
    local_path,
    model_digest,
    read_record,
    state,
    verify,
    write_record,
)
from dynface_video.models.registry.catalogue import ModelFile, find
from dynface_video.models.registry.licences import accept, is_accepted, licence_of
from dynface_video.models.registry.sources import OFFLINE_VARIABLE, Source, is_offline, sources_of
from dynface_video.models.registry.transfer import Progress, Transfer, Unavailable, forget

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did.

    Attributes:
        path: The verified file.
        source: Where it came from; "" if it was there already.
        sha256: Its digest.
        declared: Whether the catalogue states the digest; otherwise it was recorded when the file was first seen.
    """

    path: Path
    source: str
    sha256: str
    declared: bool


def fetch(
    name: str, *, accept_licence: bool = False, mirror: str | None = None, progress: Progress | None = None
) -> Fetched:
    """Make sure that a file of the catalogue is on this machine and verified.

    An interrupted download is resumed. If another process is downloading the file, this one waits for it.

    Args:
        name: Of the file.
        accept_licence: Whether the user accepts its licence, which is remembered.
        mirror: A folder or URL to try first, instead of the one in `DYNFACE_MODEL_MIRROR`.
        progress: Called with the bytes that are there, and all or None.

    Raises:
        ModelError: The name is unknown, the licence is not accepted, or no source gives the right file; the message
            names every source and why it failed. Nothing is left under the final name.
        InputError: The mirror or a source cannot be used at all.
        DiskFullError: There is no space left.
    """
    file = find(name)
    require_licences([file], accepting=accept_licence)
    with _lock(file):
        there = _present(file)
        if there is not None:
            return there
        failures = []
        for source in sources_of(file, mirror):
            try:
                return _fetch_from(file, source, progress or _silent)
            except Unavailable as failure:
                logger.info("%s: %s: %s", file.name, source.name, failure)
                failures.append(f"\n  {source.name}: {failure}")
    reasons = "".join(failures) or " the catalogue names no source"
    raise ModelError(f"{file.name} could not be fetched; nothing was installed:{reasons}")


def require_licences(files: Sequence[ModelFile], *, accepting: bool) -> None:
    """Make sure that the licences of files that forbid commercial use are accepted.

    Args:
        files: Of the catalogue.
        accepting: Whether the user accepts them now, which is remembered.

    Raises:
        ModelError: They are not accepted; the message has each licence and what to do.
    """
    open_ones = {file.licence: file for file in files if not is_accepted(licence_of(file.licence), home())}
    if open_ones and not accepting:
        terms = "; ".join(f"{file.name} is under the {licence_of(key).summary()}" for key, file in open_ones.items())
        raise ModelError(f"{terms}. If you accept, give the command again with --accept-license")
    if open_ones:
        accept(home(), open_ones)


def remove(name: str) -> Path | None:
    """Delete a file, its record and what an unfinished download left.

    Returns:
        The path of the file; None if there was none.

    Raises:
        ModelError: The name is unknown, or the folder cannot be changed.
    """
    file = find(name)
    path = local_path(file)
    if not path.parent.exists():
        return None
    existed = path.exists()
    with _lock(file):
        forget(_partial(file))
        for left in (path, path.with_name("record.json")):
            left.unlink(missing_ok=True)
    return path if existed else None


def _present(file: ModelFile) -> Fetched | None:
    if state(file) is FileState.MISSING:
        return None
    try:
        record = read_record(file) if state(file) is FileState.VERIFIED else verify(file)
    except ModelError as error:
        logger.warning("%s; it is fetched again", error)
        return None
    return Fetched(local_path(file), "", record.sha256, record.declared) if record else None


def _fetch_from(file: ModelFile, source: Source, progress: Progress) -> Fetched:
    if source.needs_network and is_offline():
        raise Unavailable(f"not tried, because {OFFLINE_VARIABLE} is set")
    before, partial = read_record(file), _partial(file)
    wanted = file.sha256 or (before.sha256 if before else None)
    _require_space(file, partial)
    transfer = Transfer(source, partial, file.size, wanted is not None, progress)
    resumed = transfer.run()
    digest = model_digest(partial)
    if resumed and wanted not in (None, digest):
        logger.info("%s: the resumed file is damaged; it is fetched from its beginning", file.name)
        forget(partial)
        transfer.run()
        digest = model_digest(partial)
    if wanted not in (None, digest):
        size = partial.stat().st_size
        forget(partial)
        origin = "declared" if file.sha256 else "recorded at the first download"
        raise Unavailable(f"another file: its {size} bytes have the SHA-256 {digest}, {origin} is {wanted}")
    _install(partial, local_path(file))
    forget(partial)
    record = write_record(file, source.name, digest)
    return Fetched(local_path(file), source.name, digest, record.declared)


def _install(partial: Path, path: Path) -> None:
    for place, replace in ((partial, True), (path.parent, False)):
        # Some network file systems cannot sync a folder.
        with suppress(OSError):
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        if replace:
            os.replace(partial, path)


def _require_space(file: ModelFile, partial: Path) -> None:
    if file.size is None:
        return
    missing = file.size - (partial.stat().st_size if partial.exists() else 0)
    free = shutil.disk_usage(partial.parent).free
    if missing > free:
        raise DiskFullError(f"{file.name} needs {missing} more bytes in {partial.parent}, where {free} are free")


@contextmanager
def _lock(file: ModelFile) -> Iterator[None]:
    folder = local_path(file).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("%s: another process is using it; waiting", file.name)
            lock.acquire()
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written ({error.strerror}); set DYNFACE_HOME to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _partial(file: ModelFile) -> Path:
    path = local_path(file)
    return path.with_name(path.name + ".part")


def _silent(done: int, total: int | None) -> None:
    pass
