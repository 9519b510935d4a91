"""Small stand-ins for the files of the catalogue, on a machine of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from dynface_video.models.registry.cache import local_path
from dynface_video.models.registry.catalogue import find

CONTENT = bytes(range(256)) * 40
VARIABLES = ("DYNFACE_CATALOGUE", "DYNFACE_MODEL_MIRROR", "HF_HUB_OFFLINE")


class OwnMachine:
    """An empty `DYNFACE_HOME`, and a catalogue of the test's own entries beside the built-in ones.

    Attributes:
        home: `DYNFACE_HOME`.
        mirror: An empty folder.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.mirror = folder / "home", folder / "mirror"
        self.mirror.mkdir(parents=True, exist_ok=True)
        self._path, self._entries = folder / "catalogue.yaml", dict[str, object]()
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DYNFACE_HOME", str(self.home))
        self._monkeypatch = monkeypatch

    def declare(self, name: str, **values: object) -> None:
        """Add an entry to the catalogue, or replace one; `CONTENT` is its file unless `sha256` says otherwise."""
        entry = {"filename": f"{name}.pth", "sources": [], "licence": "MIT", "kind": "restorer", "purpose": "test"}
        self._entries[name] = entry | {"sha256": hashlib.sha256(CONTENT).hexdigest()} | values
        self._path.write_text(yaml.safe_dump(self._entries))
        self._monkeypatch.setenv("DYNFACE_CATALOGUE", str(self._path))

    def publish(self, name: str, file: Path) -> None:
        """Put a file into the mirror as that of a built-in entry, whose digest becomes the file's."""
        built_in = find(name)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        file.rename(self.mirror / built_in.filename)
        self.declare(name, filename=built_in.filename, licence=built_in.licence, kind=built_in.kind, sha256=digest)
        self._monkeypatch.setenv("DYNFACE_MODEL_MIRROR", str(self.mirror))


def put_in_place(name: str, content: bytes = CONTENT) -> Path:
    """Write a file of the catalogue to its place in the cache, as a user would by hand."""
    path = local_path(find(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
