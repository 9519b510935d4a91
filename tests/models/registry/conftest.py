from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_files import OwnMachine


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnMachine:
    return OwnMachine(tmp_path, monkeypatch)


@pytest.fixture
def own_catalogue(machine: OwnMachine) -> Callable[..., None]:
    """Adds entries to the catalogue: `own_catalogue(name, licence=..., sha256=...)`."""
    return machine.declare
