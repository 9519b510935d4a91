"""The licences of the catalogue's files, and which of them the user has accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dynface_video.errors import ModelError
from dynface_video.media.io.files import write_atomically


@dataclass(frozen=True)
class Licence:
    """A licence.

    Attributes:
        id: SPDX's identifier where there is one.
        title: Its full name.
        commercial_use: Whether it permits commercial use.
        url: Its text.
    """

    id: str
    title: str
    commercial_use: bool
    url: str

    def summary(self) -> str:
        """One line for a person who has to decide about it."""
        use = "permits commercial use" if self.commercial_use else "forbids commercial use"
        return f"{self.title} ({self.id}), which {use}: {self.url}"


LICENCES = {
    licence.id: licence
    for licence in (
        Licence("Apache-2.0", "Apache License 2.0", True, "https://www.apache.org/licenses/LICENSE-2.0"),
        Licence("MIT", "MIT License", True, "https://opensource.org/license/mit"),
        Licence("S-Lab-1.0", "S-Lab License 1.0", False, "https://github.com/sczhou/CodeFormer/blob/master/LICENSE"),
        Licence(
            "CC-BY-NC-SA-4.0",
            "Creative Commons Attribution-NonCommercial-ShareAlike 4.0",
            False,
            "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        ),
    )
}


def licence_of(identifier: str) -> Licence:
    """Look a licence up by its identifier; an unknown one is treated as forbidding commercial use."""
    return LICENCES.get(identifier) or Licence(identifier, identifier, False, "see the source of the file")


def accepted(folder: Path) -> frozenset[str]:
    """Identifiers of the licences that were accepted.

    Args:
        folder: `home()`.

    Raises:
        ModelError: The record cannot be read.
    """
    path = _record(folder)
    try:
        return frozenset(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: the record of accepted licences cannot be read ({error}); delete it") from error


def accept(folder: Path, identifiers: Iterable[str]) -> None:
    """Record that the user accepted licences, with the time; raises ModelError if that cannot be written."""
    path = _record(folder)
    before = json.loads(path.read_text(encoding="utf-8")) if accepted(folder) else {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = {**dict.fromkeys(identifiers, now), **before}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise ModelError(f"{path} cannot be written ({error.strerror}); set DYNFACE_HOME to another folder") from error


def is_accepted(licence: Licence, folder: Path) -> bool:
    """Whether files under a licence may be used: it permits commercial use, or the user accepted it."""
    return licence.commercial_use or licence.id in accepted(folder)


def _record(folder: Path) -> Path:
    return folder / "accepted_licences.json"
