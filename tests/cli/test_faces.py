"""The command `faces`: its table, its JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from fake_api import Command, FakeApi


def test_the_table_has_a_line_for_each_person(api: FakeApi, command: Command, tmp_path: Path) -> None:
    code, out, _ = command("faces", "in.mkv", "-o", tmp_path / "sheet.png", "--analysis", "a.json")
    head, row, *rest = out.splitlines()
    assert code == 0 and head.split() == ["person", "times", "frames", "size", "blur", "step", "seconds"]
    assert row.split() == [
        "1", "00:00-00:02,", "00:10-00:12,", "00:20-00:22", "+1", "48", "96", "px", "1.23%", "210", "7",
    ]  # fmt: skip
    sheet = tmp_path / "sheet.png"
    assert rest == ["1 person in 50 frames", "2 faces skipped: 2 too small", f"the faces are in {sheet}"]
    assert api.calls == [
        {"source": Path("in.mkv"), "analysis": Path("a.json"), "sheet": sheet, "preset": "mini", "config": None}
    ]


def test_json_has_the_same(api: FakeApi, command: Command) -> None:
    _, out, _ = command("faces", "in.mkv", "--json")
    (person,) = json.loads(out)["people"]
    assert (person["number"], person["best_frame"], person["seconds"]) == (1, 12, 6.9)


def test_an_existing_sheet_is_not_replaced_by_mistake(api: FakeApi, command: Command, tmp_path: Path) -> None:
    (tmp_path / "sheet.png").write_bytes(b"")
    code, _, err = command("faces", "in.mkv", "-o", tmp_path / "sheet.png")
    assert code == 2 and "already exists" in err and not api.calls
