"""The time before a first frame, and its table."""

from __future__ import annotations

import pytest

from evaluation import start_up
from evaluation.start_up import StartUp, start_up_table, time_start_up


def test_the_first_frame_comes_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_up, "RATE", 3)
    monkeypatch.setattr(start_up, "TELLING", (("--version",),))
    found = time_start_up(rounds=1)
    assert all(0 < first < all_of_it for first, all_of_it in zip(found.first_frame, found.whole, strict=True))
    assert 0 < found.commands["--version"][1] < found.first_frame[1]


def test_the_table_has_the_share_of_processor_time() -> None:
    table = start_up_table(StartUp((1.0, 0.5), (4.0, 2.0), {"--help": (0.2, 0.15)}))
    assert "| restore one second, to the first frame | 1.00 | 0.50 | 25% |" in table
    assert "| dynface-video --help | 0.20 | 0.15 | |" in table
