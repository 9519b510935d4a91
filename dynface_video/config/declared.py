"""The options that the settings declare, collected by name, and how the type and range of a field are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dynface_video.config.option import Option
from dynface_video.config.sections import Settings

BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclass(frozen=True)
class DeclaredOption:
    """A setting that can be given by its name alone: its section, its field, and its `Option`."""

    name: str
    section: str
    field: FieldInfo
    option: Option

    @property
    def flags(self) -> tuple[str, ...]:
        """Its command-line flags, the long one first."""
        return (f"--{self.name.replace('_', '-')}", *self.option.aliases)

    @property
    def metavar(self) -> str | None:
        """Placeholder of its value in help texts; None for a flag."""
        return self.option.metavar or "|".join(choices(self.field)) or None

    @property
    def default(self) -> str:
        """Its default, for help texts."""
        return self.option.unset if self.field.default is None else yaml_scalar(self.field.default)


def section_fields(section: str | None) -> Mapping[str, FieldInfo]:
    """The fields of a section; those of `Settings` itself for None."""
    model = Settings if section is None else Settings.model_fields[section].annotation
    assert isinstance(model, type) and issubclass(model, BaseModel)
    return model.model_fields


def section_names() -> list[str]:
    """The names of the sections, in the order of their declaration."""
    return [name for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)]


def value_types(field: FieldInfo) -> tuple[Any, ...]:
    """The types that a field takes besides None: one, or the alternatives of a union."""
    union = get_origin(field.annotation) in (Union, UnionType)
    parts = get_args(field.annotation) if union else (field.annotation,)
    return tuple(get_args(part)[0] if get_origin(part) is Annotated else part for part in parts if part is not NoneType)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The words that a field with a Literal takes; empty for other types."""
    return tuple(word for kind in value_types(field) if get_origin(kind) is Literal for word in get_args(kind))


def value_range(field: FieldInfo) -> str:
    """The bounds of a field as words, such as "at least 0 and at most 1"; empty if it is unbounded."""
    return " and ".join(
        f"{words} {getattr(bound, kind)}"
        for bound in field.metadata
        for kind, words in BOUNDS.items()
        if getattr(bound, kind, None) is not None
    )


def yaml_scalar(value: Any) -> str:
    """A setting's value as YAML writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _declared() -> dict[str, DeclaredOption]:
    return {
        name: DeclaredOption(name, section, field, option)
        for section in section_names()
        for name, field in section_fields(section).items()
        for option in field.metadata
        if isinstance(option, Option)
    }


OPTIONS: Mapping[str, DeclaredOption] = _declared()
"""Settings that can be given by their name alone, on the command line and in Python."""
