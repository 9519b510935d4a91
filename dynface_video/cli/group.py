"""The group of commands: usage errors caused by a file name that begins with a dash are explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

ARGUMENTS = "dynface_video.arguments"
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer brings its own copy of Click and does not export the base class of its usage errors."""


class HintingGroup(TyperGroup):
    """Adds a hint to usage errors if an argument that was parsed as options is the name of an existing file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, and keep them for the hint."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except USAGE_ERROR as error:
            _add_hint(error, ctx.meta[ARGUMENTS])
            raise


def _add_hint(error: Any, arguments: list[str]) -> None:
    # "--" ends the options: names after it are not parsed.
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    files = [argument for argument in options if argument.startswith("-") and Path(argument).exists()]
    if files:
        # click leaves `message` empty for a missing argument and formats the text only when it is shown.
        reason = error.format_message().rstrip(".")
        error.message = f"{reason}. A name that begins with a dash is taken for an option: write ./{files[0]}"
        error.format_message = lambda: error.message
