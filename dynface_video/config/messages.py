"""Validation errors as sentences: which setting, its value, what is allowed, and what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dynface_video.config.declared import OPTIONS, section_fields, section_names, value_range

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def explain(errors: Sequence[ErrorDetails]) -> list[str]:
    """A sentence for each of pydantic's errors: the setting, its value, what is allowed."""
    # The alternatives of a union are errors of their own, with the alternative behind the setting's place.
    by_place: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for error in errors:
        by_place.setdefault(error["loc"][:2], []).append(error)
    return [_explain_one(own[0]) if len(own) == 1 else _explain_union(own) for own in by_place.values()]


def _explain_union(alternatives: Sequence[ErrorDetails]) -> str:
    location = [str(part) for part in alternatives[0]["loc"][:2]]
    allowed = " or ".join(error["msg"].removeprefix("Input should be ") for error in alternatives)
    return f"{_short_name(location)} is {alternatives[0]['input']!r}; it must be {allowed}"


def _explain_one(error: ErrorDetails) -> str:
    location, value = [str(part) for part in error["loc"]], error["input"]
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"unknown setting '{'.'.join(location)}'; {_meant(location)}"
    name = _short_name(location)
    if kind in ("model_type", "dict_type"):
        return f"{name} is {value!r}; it must hold settings as `name: value`"
    if kind == "value_error" and isinstance(value, Mapping):
        return message
    if kind.startswith(("less_than", "greater_than")):
        section = location[0] if len(location) > 1 else None
        return f"{name} is {value!r}; it must be {value_range(section_fields(section)[location[-1]])}"
    return f"{name} is {value!r}; {message.replace('Input should', 'it must').replace('String should', 'it must')}"


def unknown_option(name: str) -> str:
    """The message for an unknown option, which may be a setting that only configuration files have."""
    homes = _homes(name)
    if homes and homes[0].rpartition(".")[2] in OPTIONS:
        return f"unknown option {name!r}; did you mean {homes[0].rpartition('.')[2]}?"
    if homes:
        return f"'{name}' is not an option; set {homes[0]} in a configuration file (--config, config=)"
    return f"unknown option {name!r}; {alternatives(name, OPTIONS)}"


def alternatives(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as a question, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def together(problems: Sequence[str]) -> str:
    """Several problems as one message, a line each."""
    unique = list(dict.fromkeys(problems))
    if len(unique) == 1:
        return unique[0]
    return f"{len(unique)} settings cannot be used:" + "".join(f"\n  {problem}" for problem in unique)


def _short_name(location: list[str]) -> str:
    """The name by which a user knows the setting: options by theirs alone."""
    option = OPTIONS.get(location[-1])
    return location[-1] if option is not None and [option.section, option.name] == location else ".".join(location)


def _meant(location: list[str]) -> str:
    """What an unknown setting may have been meant to be: one of its section, or one of another."""
    *section, name = location
    homes = _homes(name)
    if homes:
        return f"did you mean {homes[0]}?"
    own = section_fields(section[0] if section else None)
    prefix = f"{section[0]}." if section else ""
    if difflib.get_close_matches(name, own, n=1):
        return alternatives(name, own).replace("mean ", f"mean {prefix}")
    elsewhere = {field: f"{other}.{field}" for other in section_names() for field in section_fields(other)}
    near = difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.8)
    return f"did you mean {elsewhere[near[0]]}?" if near else alternatives(name, own)


def _homes(name: str) -> list[str]:
    """The settings of this name, or with such a flag, with their sections."""
    homes = [f"{section}.{name}" for section in section_names() if name in section_fields(section)]
    flag = f"--{name.replace('_', '-')}"
    return homes or [f"{option.section}.{option.name}" for option in OPTIONS.values() if flag in option.flags]
