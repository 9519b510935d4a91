"""The command `compare`, and what `restore --preview` adds to `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynface_video.cli.console import print_answer, reporting
from dynface_video.cli.files import check_writable
from dynface_video.cli.options import Json, Verbose
from dynface_video.cli.summary import count
from dynface_video.config import Overrides
from dynface_video.config.choice import parse_strength
from dynface_video.errors import InputError

if TYPE_CHECKING:
    from dynface_video.jobs.preview import PreviewResult

MODES = ("side", "split", "flip")
"""Those of `media.output.comparison`, which would load OpenCV for --help."""
Compare = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(MODES),
        help="Show both: side by side, split down the middle, or in turn, a second each.",
        show_default=False,
        autocompletion=lambda incomplete: [mode for mode in MODES if mode.startswith(incomplete)],
    ),
]


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A video or a picture.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same restored, or any other.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUTPUT", help="A clip (.mp4, .mkv), or a sheet (.png, .jpg).")
    ],
    *,
    compare: Compare = "side",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare two videos or pictures by eye: in a clip, or on a sheet of moments from beginning to end.

    The pictures of B are resized to those of A and shown at the same times. The clip has the sound of A.
    """
    with reporting(verbose, lambda: "interrupted; nothing was written") as console:
        mode = checked_mode(compare)
        for source in (first, second):
            check_writable(output, source, overwrite)
        from dynface_video import api
        from dynface_video.cli.progress import progress_display

        with progress_display(console) as report:
            made = api.compare_videos(first, second, output, mode=mode, overwrite=overwrite, progress=report)
    told = f"{output}: {count(made, 'moment')} of {first.name} and {second.name}"
    print_answer({"output": str(output), "moments": made}, [told], as_json)


def checked_mode(mode: str | None) -> Any:
    """The mode of a comparison; raises InputError for an unknown one."""
    if mode is not None and mode not in MODES:
        raise InputError(f"compare is {mode!r}; it must be {', '.join(MODES[:-1])} or {MODES[-1]}")
    return mode


def versions_of(overrides: Overrides) -> tuple[float, ...]:
    """The strengths of a preview with several, such as 0.3,0.6,0.9, which are taken out of the overrides.

    Raises:
        InputError: One of them is not a strength.
    """
    # On the command line it may be text that only a preview understands.
    strength: object = overrides.get("strength")
    if not isinstance(strength, str) or "," not in strength:
        return ()
    del overrides["strength"]
    try:
        return tuple(parse_strength(part.strip()) for part in strength.split(","))
    except ValueError as error:
        raise InputError(f"{error}; several are written 0.3,0.6,0.9") from error


def preview_summary(result: PreviewResult) -> list[str]:
    """The line that `restore --preview` ends with."""
    people = ", ".join(str(number) for number in result.people)
    who = f", person {people}" if len(result.people) == 1 else f", people {people}" if people else ""
    restored = f"{count(result.faces, 'crop')} restored{who}" if result.faces else "no face to restore in it"
    return [f"{result.output}: {count(result.frames, 'frame')}, {restored}"]
