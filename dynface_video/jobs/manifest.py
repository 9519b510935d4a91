"""Which videos a batch consists of: files, folders, and lists with options for each video."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dynface_video.config import OPTIONS
from dynface_video.errors import InputError
from dynface_video.jobs.remote import is_remote
from dynface_video.media.io.files import MAX_NAME

VIDEOS = (
    ".3gp", ".asf", ".avi", ".dv", ".flv", ".gif", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
TIMED = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
LISTS = (".csv", ".jsonl")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
COLUMNS = ("source", "output", "preset", "config")
"""Columns of a list that are not settings."""
BATCH_OPTIONS = frozenset({"workers", "address", "work"})
"""Settings that belong to the whole batch."""


@dataclass(frozen=True)
class Entry:
    """A video of a batch.

    Args:
        source: Path or URL of the input.
        output: Path or URL of the output.
        preset: As in `restore_video`; None for the batch's.
        config: As in `restore_video`; None for the batch's.
        overrides: Settings by name, as in `restore_video`.
    """

    source: str
    output: str
    preset: str | None = None
    config: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def read_entries(sources: Sequence[str], folder: str) -> list[Entry]:
    """List the videos of a batch.

    Args:
        sources: Files, folders (searched recursively), and lists (CSV, JSONL).
        folder: Where outputs go whose list names no place; the videos of a folder keep their paths below it.

    Raises:
        InputError: There are no videos, a list cannot be read, or two outputs would have the same name.
    """
    entries = [entry for source in sources for entry in _expand(source, folder)]
    if not entries:
        raise InputError(f"no video in {', '.join(sources)}")
    by_output: dict[str, str] = {}
    for entry in entries:
        other = by_output.setdefault(entry.output, entry.source)
        if other != entry.source:
            raise InputError(
                f"{other} and {entry.source} would both become {entry.output}; name them in a list (CSV or JSONL)"
            )
    return list({entry.output: entry for entry in entries}.values())


def _expand(source: str, folder: str) -> Iterator[Entry]:
    path = Path(source)
    if not is_remote(source) and path.is_dir():
        for video in videos_below(path):
            yield Entry(str(video), join(folder, _output_name(video.relative_to(path))))
    elif path.suffix.lower() in LISTS:
        yield from _read_list(path, folder)
    else:
        yield Entry(source, join(folder, _output_name(Path(path.name))))


def videos_below(folder: Path) -> Iterator[Path]:
    """The videos in a folder and below, sorted; without hidden files and the segments in job directories.

    Args:
        folder: A local folder.
    """
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") or part.endswith(".job") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in VIDEOS and path.is_file() and not hidden:
            yield path


def join(folder: str, name: Path) -> str:
    """Join a folder, which may be a URL, and a relative path.

    Args:
        folder: A path or URL.
        name: A path below it.
    """
    return f"{folder.rstrip('/')}/{name.as_posix()}" if is_remote(folder) else str(Path(folder) / name)


def _output_name(name: Path) -> Path:
    """The source's name if its container keeps every frame's time, else that of a Matroska file."""
    if name.suffix.lower() in TIMED:
        return name
    longer = f"{name.name}.mkv"
    return name.with_name(longer) if len(os.fsencode(longer)) <= MAX_NAME else name.with_suffix(".mkv")


def _read_list(path: Path, folder: str) -> Iterator[Entry]:
    is_csv = path.suffix.lower() == ".csv"
    try:
        text = _decoded(path.read_bytes(), is_csv)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read ({error})") from error
    rows = _csv_rows(text) if is_csv else _json_rows(text, path)
    for number, row in rows:
        yield _entry(row, f"{path}, line {number}", path.parent, folder)


def _decoded(raw: bytes, is_csv: bool) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        if not is_csv:
            raise
        # Spreadsheets on Windows write CSV files in the code page of Western Europe by default.
        return raw.decode("cp1252")


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = text.splitlines()
    # Spreadsheets may state the separator in a first line of its own, such as "sep=;".
    skipped = 1 if lines and lines[0].lower().startswith("sep=") else 0
    lines = lines[skipped:]
    header = lines[0] if lines else ""
    # Where the comma is the decimal sign, spreadsheets separate the columns by semicolons.
    separator = max(",;\t", key=header.count)
    for number, row in enumerate(csv.DictReader(lines, delimiter=separator), 2 + skipped):
        cells = {name.strip(): value.strip() for name, value in row.items() if name and value and value.strip()}
        # Rows of empty cells follow the table in many exports.
        if cells:
            yield number, {name: _cell(name, value, separator) for name, value in cells.items()}


def _cell(name: str, value: str, separator: str) -> Any:
    """The value of a cell: text in `COLUMNS` and in lists of people and times, else what YAML makes of it."""
    if name in COLUMNS or (name in OPTIONS and OPTIONS[name].option.repeatable):
        return value
    if separator != "," and DECIMAL_COMMA.fullmatch(value):
        value = value.replace(",", ".")
    return yaml.safe_load(value)


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number} is not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InputError(f'{path}, line {number} must be an object, like {{"source": "film.mkv"}}')
            yield number, {name: value for name, value in row.items() if value is not None}


def _entry(row: dict[str, Any], where: str, base: Path, folder: str) -> Entry:
    unknown = row.keys() - {*COLUMNS, *OPTIONS} | row.keys() & BATCH_OPTIONS
    if unknown:
        known = ", ".join([*COLUMNS, *sorted(OPTIONS.keys() - BATCH_OPTIONS)])
        raise InputError(f"{where}: {sorted(unknown)[0]!r} is not an option of a single video; known options: {known}")
    if not row.get("source"):
        raise InputError(f"{where} names no source")
    source = row["source"] if is_remote(row["source"]) else str(base / row["source"])
    output = row.get("output")
    if output is None:
        output = join(folder, _output_name(Path(Path(source).name)))
    elif not is_remote(output) and not Path(output).is_absolute():
        output = join(folder, Path(output))
    config = base / row["config"] if row.get("config") else None
    overrides = {name: value for name, value in row.items() if name not in COLUMNS}
    if overrides.get("reference"):
        overrides["reference"] = base / str(overrides["reference"])
    return Entry(source, output, row.get("preset"), config, overrides)
