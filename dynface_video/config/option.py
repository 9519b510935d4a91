"""How a setting declares that it is also an option of commands and an argument of the Python API."""

from __future__ import annotations

from dataclasses import dataclass

RESTORE, ANALYZE, BATCH = "restore", "analyze", "batch"
RESTORING = frozenset({RESTORE, BATCH})
ALL = frozenset({RESTORE, ANALYZE, BATCH})


@dataclass(frozen=True)
class Option:
    """Annotation of a setting that can be given by its name alone, as `--its-name` and as `its_name=`.

    Attributes:
        metavar: Placeholder of the value in help texts; None for flags and where the type lists the choices.
        commands: Commands of the command line that have the option.
        aliases: Further flags, such as "--steps".
        unset: What applies where the setting is None, for help texts.
        repeatable: Whether the flag may be given several times; the values are joined by commas.
        qualified: Setting to which values of the form NAME=VALUE go, given several times.
        common: Whether help texts show it among the first options, before those of its section.
    """

    metavar: str | None = None
    commands: frozenset[str] = RESTORING
    aliases: tuple[str, ...] = ()
    unset: str = ""
    repeatable: bool = False
    qualified: str = ""
    common: bool = False
