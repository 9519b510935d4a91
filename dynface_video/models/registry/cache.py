"""The folder on this machine in which fetched files lie, each with a record of where it came from and its digest.

```
$DYNFACE_HOME/models/NAME/FILENAME       the file, complete and verified
$DYNFACE_HOME/models/NAME/record.json    source, size, digest, time
$DYNFACE_HOME/models/NAME/FILENAME.part  what an unfinished download left, to be resumed
```
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from dynface_video.errors import MODELS_EXTRA, ModelError
from dynface_video.media.io.files import sha256_of, write_atomically
from dynface_video.models.registry.catalogue import ModelFile
from dynface_video.models.registry.licences import is_accepted, licence_of

logger = logging.getLogger(__name__)

HOME_VARIABLE = "DYNFACE_HOME"


class FileState(Enum):
    """What is known of a file of the catalogue on this machine."""

    VERIFIED = "verified"
    MISSING = "missing"
    UNVERIFIED = "not verified"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Record:
    """What was found when a file was verified.

    Attributes:
        source: Where it was fetched; "" for a file that was put in its place by hand.
        size: In bytes.
        sha256: Its digest.
        declared: Whether the catalogue states this digest; otherwise it was recorded at the first download.
        modified: Time of the last change of the file, ns since 1970: another time means that it must be hashed again.
        verified: When it was verified, ISO 8601.
    """

    source: str
    size: int
    sha256: str
    declared: bool
    modified: int
    verified: str


def home() -> Path:
    """The folder of everything that is kept on this machine: `DYNFACE_HOME`, or the user's folder for caches."""
    own = os.environ.get(HOME_VARIABLE)
    if own:
        return Path(own).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("dynface-video", appauthor=False)


def local_path(file: ModelFile) -> Path:
    """Where a file of the catalogue lies, or would."""
    return home() / "models" / file.name / file.filename


def read_record(file: ModelFile) -> Record | None:
    """The record of a file; None if there is no readable record."""
    try:
        return Record(**json.loads(_record_path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(file: ModelFile, source: str, digest: str) -> Record:
    """Record a file that lies at its place and whose digest was found right."""
    status = local_path(file).stat()
    record = Record(
        source=source,
        size=status.st_size,
        sha256=digest,
        declared=file.sha256 is not None,
        modified=status.st_mtime_ns,
        verified=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_atomically(_record_path(file), json.dumps(asdict(record), indent=2) + "\n")
    return record


def state(file: ModelFile) -> FileState:
    """What is known of a file without reading it.

    Returns:
        VERIFIED if it has not changed since it was; DAMAGED if its size is wrong; UNVERIFIED if it must be hashed.
    """
    path, record = local_path(file), read_record(file)
    if not path.is_file():
        return FileState.MISSING
    status = path.stat()
    wanted = file.sha256 or (record.sha256 if record else None)
    if record is not None and record.sha256 == wanted and status.st_mtime_ns == record.modified:
        return FileState.VERIFIED if status.st_size == record.size else FileState.DAMAGED
    return FileState.DAMAGED if file.size not in (None, status.st_size) else FileState.UNVERIFIED


def verify(file: ModelFile) -> Record:
    """Hash a file at its place and record it.

    Returns:
        The record. If the catalogue declares no digest, that of the first download is recorded.

    Raises:
        ModelError: The file is missing, or its digest is another.
    """
    path, before = local_path(file), read_record(file)
    if not path.is_file():
        raise ModelError(f"{file.name}: {path} does not exist; {how_to_get(file)}")
    digest = model_digest(path)
    wanted = file.sha256 or (before.sha256 if before else None)
    if wanted is not None and digest != wanted:
        origin = "declared" if file.sha256 else "recorded at the first download"
        raise ModelError(
            f"{file.name}: {path} is damaged or another file: its SHA-256 is {digest}, {origin} is {wanted}; "
            f"remove it with `dynface-video models remove {file.name}`, then {how_to_get(file)}"
        )
    if wanted is None:
        logger.warning("%s: no digest is declared; %s is recorded as seen first", file.name, digest)
    return write_record(file, before.source if before else "", digest)


def model_digest(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal; raises ModelError if it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def fetch_command(file: ModelFile) -> str:
    """The command that fetches a file, with the flag for its licence where that must be accepted."""
    accepting = "" if is_accepted(licence_of(file.licence), home()) else " --accept-license"
    return f"dynface-video models fetch {file.name}{accepting}"


def how_to_get(file: ModelFile) -> str:
    """How to fetch a file, as the end of a message; with its licence where that must be accepted, and what reads it."""
    licence = licence_of(file.licence)
    how = f"get it with `{fetch_command(file)}`"
    if not is_accepted(licence, home()):
        how += f" if you accept its licence, the {licence.summary()}"
    if file.kind == "restorer" and find_spec("spandrel") is None:
        how += f"; to read it, {MODELS_EXTRA}"
    return how


def _record_path(file: ModelFile) -> Path:
    return local_path(file).parent / "record.json"
