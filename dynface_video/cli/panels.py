"""Help texts with the options of a command under headings, those that most people want first."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

ARGUMENTS, FIRST = "Arguments", "Options"
"""Options under the latter are the command's own, and the settings that are marked as common."""
WHO, HOW, WHICH = "Who is restored, and when", "How a face is restored", "Which faces are found"
READ, WRITE, WHERE = "How the input is read", "How the result is encoded", "Where the work is done"
PANELS = {
    "selection": WHO,
    "restoration": HOW,
    "detection": WHICH,
    "input": READ,
    "output": WRITE,
    "execution": WHERE,
}
"""Headings by the section of the settings, in the order of the help text."""


class PanelCommand(TyperCommand):
    """A command whose help shows options under the headings that they name as `rich_help_panel`.

    Typer does so with Rich alone, which would take as long to import as all the rest of a help text.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options under their headings."""
        panels: dict[str, list[tuple[str, str]]] = {
            "Arguments": [],
            FIRST: [],
            **{name: [] for name in PANELS.values()},
        }
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                own = getattr(parameter, "rich_help_panel", None) or FIRST
                panels[ARGUMENTS if parameter.param_type_name == "argument" else own].append(record)
        for heading, records in panels.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
