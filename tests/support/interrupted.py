"""A function that is interrupted in its second call, as by Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def interrupted_once(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[str]]:
    """The function, whose first argument is a path, and the names of the paths of its calls."""
    calls = list[str]()

    def call(path: Path, *rest: Any) -> Any:
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(path, *rest)

    return call, calls
