"""A machine of its own for each test: an empty DYNFACE_HOME, and a catalogue of small files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from model_files import CONTENT


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("DYNFACE_HOME", str(home))
    for name in ("DYNFACE_CATALOGUE", "DYNFACE_MODEL_MIRROR", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def own_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Adds entries to the catalogue: `own_catalogue(name, licence=..., sha256=...)`."""
    path, entries = tmp_path / "catalogue.yaml", {}
    monkeypatch.setenv("DYNFACE_CATALOGUE", str(path))

    def add(name: str, **values: object) -> None:
        entries[name] = {
            "filename": f"{name}.pth",
            "sources": [],
            "licence": "MIT",
            "kind": "restorer",
            "purpose": "test",
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
        } | values
        path.write_text(yaml.safe_dump(entries))

    return add
