from __future__ import annotations

from pathlib import Path

import pytest

from loading import load_script

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[1] / "scripts").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_finds_what_it_imports(name: str) -> None:
    assert load_script(name).__doc__
