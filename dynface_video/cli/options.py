"""The options of the commands: those that settings declare, and those that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dynface_video.cli.panels import PANELS
from dynface_video.config import Overrides, preset_names
from dynface_video.config.declared import OPTIONS, DeclaredOption, choices, value_types
from dynface_video.errors import InputError

Source = Annotated[
    Path, typer.Argument(metavar="INPUT", help="The video, an image, or a folder of images.", show_default=False)
]
Preset = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Settings and models to start from.",
        autocompletion=lambda incomplete: [name for name in preset_names() if name.startswith(incomplete)],
    ),
]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML file that changes some of the preset's settings.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Start over instead of resuming an unfinished job.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a summary.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print more messages, and the traceback of an error.")]


def setting_options(command: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that settings declare for it, in the place of its parameter `overrides`.

    Args:
        command: The command's name, as in `Option.commands`.

    Returns:
        A decorator for a function with a parameter `overrides`, which gets the options that were given, by name.
    """
    options = [option for option in OPTIONS.values() if command in option.option.commands]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def run(**arguments: Any) -> None:
            given: dict[str, Any] = {}
            for option in options:
                given |= _values(option, arguments.pop(option.name), given)
            function(**arguments, overrides=given)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = _with_options(inspect.signature(function, eval_str=True), options)  # type: ignore[attr-defined]
        return run

    return decorate


def _with_options(signature: inspect.Signature, options: list[DeclaredOption]) -> inspect.Signature:
    parameters = list[inspect.Parameter]()
    options = sorted(options, key=lambda option: not option.option.common)
    for parameter in signature.parameters.values():
        parameter = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += [_parameter(option) for option in options] if parameter.name == "overrides" else [parameter]
    return signature.replace(parameters=parameters)


def _parameter(option: DeclaredOption) -> inspect.Parameter:
    kinds, flags = value_types(option.field), option.flags
    # Text where there are choices: the settings say what is allowed, in the same words wherever a value comes from.
    kind: Any = kinds[0] if kinds in ((bool,), (int,), (float,), (Path,)) else str
    if kind is bool:
        flags = (f"{flags[0]}/--no-{flags[0].removeprefix('--')}", *flags[1:])
    if option.option.repeatable or option.option.qualified:
        kind = list[str]
    words = choices(option.field)
    shown = typer.Option(
        *flags,
        metavar=option.metavar,
        help=_help(option),
        show_default=False,
        autocompletion=_completing(lambda: words) if words else None,
        rich_help_panel=None if option.option.common else PANELS[option.section],
    )
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, shown]
    )


def _completing(words: Callable[[], Sequence[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words() if word.startswith(incomplete)]

    return complete


def _values(option: DeclaredOption, value: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The settings that an option's value gives, by name; given: those of options before it."""
    if value is None or value == []:
        return {}
    if option.option.repeatable:
        return {option.name: ",".join([*value, *([given[option.name]] if option.name in given else [])])}
    if option.option.qualified:
        own, other = [part for part in value if "=" not in part], option.option.qualified
        qualified = ",".join([part for part in value if "=" in part] + ([given[other]] if other in given else []))
        return ({option.name: _number(own[-1])} if own else {}) | ({other: qualified} if qualified else {})
    return {option.name: _value(option, value)}


def _number(text: str) -> Any:
    """A number; any other text is left to the settings, which say what is allowed."""
    try:
        return float(text)
    except ValueError:
        return text


def _value(option: DeclaredOption, value: Any) -> Any:
    """A given value as the setting takes it: an option that takes a number or a word arrives as text."""
    number = isinstance(value, str) and int in value_types(option.field) and value.lstrip("-").isdecimal()
    return int(value) if number else value


def _help(option: DeclaredOption) -> str:
    description = option.field.description or ""
    default = "" if option.field.default is False else f" [default: {option.default}]"
    return f"{description[0].upper()}{description[1:]}.{default}"


def span_of(start: str | None, end: str | None, overrides: Mapping[str, Any]) -> Overrides:
    """What `--start` and `--end` mean as settings.

    Raises:
        InputError: They are given beside `--between`.
    """
    if start is None and end is None:
        return {}
    if overrides.get("between"):
        raise InputError("--start and --end are one span, --between takes several: give one of them")
    return {"between": f"{start or ''}-{end or ''}"}


def examples(*commands: str) -> str:
    """Commands to be shown at the end of a help text, not wrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
