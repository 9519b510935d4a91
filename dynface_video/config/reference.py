"""Texts made from the declarations of the settings: a commented YAML of them all, and tables for the documentation."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo

from dynface_video.config.declared import (
    OPTIONS,
    choices,
    section_fields,
    section_names,
    value_range,
    value_types,
    yaml_scalar,
)
from dynface_video.config.option import ALL, Option
from dynface_video.config.sections import Settings

WIDTH = 120
TYPE_WORDS = {bool: "true, false", int: "integer", float: "number", str: "text", Path: "path"}
DEFAULT_HEADER = """\
The default preset, for any machine: the embedded models, no download, a CPU is enough.
Made by scripts/render_reference.py from the declarations in dynface_video/config, which are what to edit.
"""


def settings_yaml(settings: Settings, header: str) -> str:
    """All settings as YAML, each with its meaning and range as a comment.

    Args:
        settings: The settings to write; `Settings()` for the defaults.
        header: Lines for the comment at the top.

    Returns:
        A file that `--config` takes.
    """
    lines = [f"# {line}" for line in header.splitlines()]
    lines += ["", f"models: {_yaml_value(settings.models)}  # {section_fields(None)['models'].description}"]
    for section in section_names():
        values = getattr(settings, section)
        lines += ["", f"{section}:"]
        for name, field in section_fields(section).items():
            lines += [f"  # {line}" for line in textwrap.wrap(_meaning(field), WIDTH - 4)]
            lines.append(f"  {name}: {_yaml_value(getattr(values, name))}")
    return "\n".join(lines) + "\n"


def options_table() -> str:
    """The options that settings declare as a Markdown table."""
    rows = [
        (
            ", ".join(f"`{flag}`" for flag in option.flags) + (f" `{_cell(option.metavar)}`" if option.metavar else ""),
            _cell(option.field.description),
            option.default,
            "all" if option.option.commands == ALL else ", ".join(sorted(option.option.commands)),
            f"`{option.section}.{name}`",
        )
        for name, option in OPTIONS.items()
    ]
    return _table(("option", "meaning", "default", "commands", "setting"), rows)


def settings_table() -> str:
    """All settings as a Markdown table."""
    rows = [
        (f"`{section}.{name}`", _type_words(field), f"`{yaml_scalar(field.default)}`", _cell(_described(field)))
        for section in section_names()
        for name, field in section_fields(section).items()
    ]
    return _table(("setting", "values", "default", "meaning"), rows)


def _meaning(field: FieldInfo) -> str:
    words = _allowed(field)
    return f"{_described(field)} ({words})" if words else _described(field)


def _described(field: FieldInfo) -> str:
    """The meaning of a field, with that of null where it is an option that may be unset."""
    unset = next((item.unset for item in field.metadata if isinstance(item, Option)), "")
    return f"{field.description}; null: {unset}" if unset else str(field.description)


def _allowed(field: FieldInfo) -> str:
    """The choices or the range of a field; empty where any value of its type is allowed."""
    return ", ".join(choices(field)) or value_range(field)


def _type_words(field: FieldInfo) -> str:
    words = [f"`{choice}`" for choice in choices(field)]
    words += [TYPE_WORDS[kind] for kind in value_types(field) if kind in TYPE_WORDS]
    return " ".join(part for part in (", ".join(words), value_range(field)) if part)


def _yaml_value(value: object) -> str:
    text = yaml_scalar(value)
    # Such as off, which YAML reads as a truth value.
    return json.dumps(text) if isinstance(value, str) and yaml.safe_load(text) != value else text


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"| {' | '.join('---' for _ in head)} |"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines()) + "\n"
