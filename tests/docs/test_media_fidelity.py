"""The page about media fidelity claims only what is tested."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_property_that_survives_has_the_test_it_names() -> None:
    page = (ROOT / "docs" / "media-fidelity.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`test_" in line]
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 20
    for row in rows:
        missing = [name for name in re.findall(r"`(test_\w+)`", row) if f"def {name}(" not in tests]
        assert missing == [], row
