"""The page on models lists the catalogue as it is."""

from __future__ import annotations

import re
from pathlib import Path

from dynface_video.models.registry.catalogue import SETS, built_in
from dynface_video.models.registry.licences import LICENCES

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def listed() -> dict[str, tuple[str, str, str]]:
    """Licence, commercial use and digest of each name in the page's table."""
    rows = (line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `"))
    return {
        name: (row[2], row[3], row[4]) for row in rows if len(row) == 5 for name in re.findall(r"`([^`]+)`", row[0])
    }


def test_the_table_is_the_catalogue() -> None:
    catalogue = {
        file.name: (
            file.licence,
            "yes" if LICENCES[file.licence].commercial_use else "no",
            "declared" if file.sha256 else "recorded",
        )
        for file in built_in().values()
    }
    assert listed() == catalogue


def test_the_sets_are_described() -> None:
    for name, members in SETS.items():
        assert f"`{name}` (" in PAGE
        assert all(member in PAGE for member in members)
