"""Sections of a benchmark that share a time limit: printed as they are made, and written to a folder."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(eq=False)
class Clock:
    """The time that a section has.

    Attributes:
        seconds: How long.
    """

    seconds: float
    began: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Seconds, at least 0."""
        return max(0.0, self.seconds - (time.perf_counter() - self.began))

    @property
    def over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.left == 0


@dataclass(eq=False)
class Report:
    """Tables and figures, printed at once and kept in `report.md` and `report.json`.

    Attributes:
        folder: Where the files are; created.
    """

    folder: Path
    figures: dict[str, Any] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Print a paragraph and keep it."""
        print(text + "\n", flush=True)
        self.text.append(text + "\n")
        self.save()

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print and keep a table whose rows are all known; its figures are kept under `name`."""
        open_table = self.open_table(name, columns)
        for row in rows:
            open_table(row)
        self.end_table()

    def open_table(self, name: str, columns: Sequence[str]) -> Callable[[Sequence[Any]], None]:
        """Begin a table; the function that is returned prints and keeps one row. `end_table` ends it."""
        self._line(f"| {' | '.join(columns)} |")
        self._line(f"| {' | '.join('---' for _ in columns)} |")
        self.figures[name] = []

        def add(row: Sequence[Any]) -> None:
            self._line(f"| {' | '.join(_shown(value) for value in row)} |")
            self.figures[name].append(dict(zip(columns, row, strict=True)))
            self.save()

        return add

    def end_table(self) -> None:
        """A blank line."""
        self._line("")

    def save(self) -> None:
        """Write both files as far as they are known."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "report.md").write_text("\n".join(self.text))
        (self.folder / "report.json").write_text(json.dumps(self.figures, indent=1) + "\n")

    def _line(self, text: str) -> None:
        print(text, flush=True)
        self.text.append(text)


Section = Callable[[Report, Clock], None]


def run_sections(report: Report, sections: Sequence[tuple[str, float, Section]], seconds: float) -> int:
    """Run sections in order; if one fails, its traceback is printed and the next begins.

    Args:
        report: Where they write.
        sections: Title, share of the time, and function of each; the time that one does not use is the later ones'.
        seconds: For all of them.

    Returns:
        How many failed.
    """
    whole, failed = Clock(seconds), 0
    for number, (title, share, section) in enumerate(sections):
        shares = sum(other for _, other, _ in sections[number:])
        if whole.over:
            report.say(f"## {title}\n\nNot begun: the time was over.")
            continue
        clock = Clock(whole.left * share / shares)
        report.say(f"## {title}")
        try:
            section(report, clock)
        except Exception:  # the sections are independent of each other, and out of memory is a RuntimeError
            failed += 1
            report.say(f"```\n{traceback.format_exc()}```")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        report.say(f"({clock.seconds - clock.left:.1f} s of {clock.seconds:.1f})" if not clock.over else "(time over)")
        report.figures.setdefault("seconds", {})[title] = round(time.perf_counter() - clock.began, 2)
    report.save()
    return failed


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:.4g}"
    return str(value)
