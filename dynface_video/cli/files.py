"""Checks of the files that commands write, before any work is done."""

from __future__ import annotations

from pathlib import Path

from dynface_video.errors import OVERWRITE, InputError


def check_writable(output: Path, source: Path, overwrite: bool) -> None:
    """Check that a file can be written and overwrites nothing by mistake; raises InputError."""
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError(f"{output} is the input itself; choose another output")
    if output.exists() and not (output.is_file() or output.is_dir()):
        raise InputError(f"{output} is a device or a pipe; name a file")
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"{output} cannot be written: it is a folder, or its folder does not exist")
    if output.exists() and not overwrite:
        raise InputError(f"{output} already exists; choose another name or {OVERWRITE}")
