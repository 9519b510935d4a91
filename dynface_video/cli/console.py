"""Standard error of a command: log lines, warnings, and the line that an error ends it with."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import typer

from dynface_video.errors import DynfaceError
from dynface_video.passes.prefetch import THREAD_NAME

if TYPE_CHECKING:
    from rich.console import Console

SIGNALLED = 128
UNEXPECTED = 1
PARTLY_FAILED = 3
"""Exit code where some of several videos or pictures failed."""


@contextmanager
def reporting(verbose: bool, interrupted: Callable[[], str]) -> Iterator[Console]:
    """Send all output inside the block to standard error; an error ends the program with a message and an exit code.

    Args:
        verbose: Log what the library does, and print the traceback of an error.
        interrupted: Returns the message after Ctrl-C.

    Yields:
        The console for progress.
    """
    try:
        with redirect_stdout(sys.stderr), _logging(verbose) as console:
            yield console
    except KeyboardInterrupt as error:
        complain(interrupted())
        stopped_by = getattr(error, "signal", signal.SIGINT)
        _leave_threads(SIGNALLED + stopped_by)
        raise typer.Exit(SIGNALLED + stopped_by) from None
    except DynfaceError as error:
        _end(str(error), error.exit_code, verbose)
    except Exception as error:  # nothing above handles it: the user gets a message and an exit code
        reason = " ".join(str(error).split()) or "no message"
        hint = "" if verbose else "; -v shows where it came from"
        _end(f"unexpected {type(error).__name__}: {reason}{hint}", UNEXPECTED, verbose)


def complain(line: str) -> None:
    """Write a line to standard error."""
    typer.echo(line, err=True)


def warn(messages: Iterable[str]) -> None:
    """Write warnings to standard error."""
    for message in messages:
        complain(f"warning: {message}")


def print_answer(data: Any, lines: Sequence[str], as_json: bool) -> None:
    """Write a command's result, which alone goes to standard output: as one JSON value, or as lines."""
    typer.echo(json.dumps(data) if as_json else "\n".join(lines))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table as lines, their cells below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _leave_threads(exit_code: int) -> None:
    """End the process here if a thread still restores a block of faces after a second Ctrl-C.

    The interpreter would not wait for it, and native code that runs while the interpreter ends aborts the process.
    """
    if any(thread.name == THREAD_NAME and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _end(reason: str, exit_code: int, verbose: bool) -> None:
    if verbose:
        traceback.print_exc(file=sys.stderr)
    complain(f"error: {reason}")
    raise typer.Exit(exit_code)


@contextmanager
def _logging(verbose: bool) -> Iterator[Console]:
    """Log to standard error inside the block; verbose: also what the library does, and other libraries' warnings."""
    from rich.console import Console

    console = Console(file=sys.stderr, soft_wrap=True)
    root, library = logging.getLogger(), logging.getLogger("dynface_video")
    handler, level = _handler(console), library.level
    root.addHandler(handler)
    library.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        with warnings.catch_warnings():
            if not verbose and not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield console
    finally:
        library.setLevel(level)
        root.removeHandler(handler)


def _handler(console: Console) -> logging.Handler:
    if console.is_terminal:
        from rich.logging import RichHandler

        # Lines that bypass Rich would be written into the bars.
        return RichHandler(console=console, show_path=False, show_time=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    return handler
