"""The command `faces`: the people of a video as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dynface_video.cli.console import columns, print_answer, reporting, warn
from dynface_video.cli.files import check_writable
from dynface_video.cli.options import Config, Json, Preset, Source, Verbose, setting_options
from dynface_video.cli.summary import count, count_people, skipped
from dynface_video.config import Overrides, load_settings
from dynface_video.config.option import ANALYZE

if TYPE_CHECKING:
    from dynface_video.passes.analysis import Analysis
    from dynface_video.results import ListedPerson

HEADER = ("person", "times", "frames", "size", "blur", "step", "seconds")
MOST_SPANS = 3


@setting_options(ANALYZE)
def faces(
    source: Source,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="SHEET", help="Also make a picture with one good face of each person."),
    ] = None,
    analysis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file written by analyze -o; INPUT is not analysed again.")
    ] = None,
    overrides: Overrides,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace SHEET if it exists.")] = False,
    preset: Preset = "mini",
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Print the people of INPUT with their numbers: when each is seen, how large and how blurred.

    Use the numbers with --faces, --exclude and --strength of restore. `step` is the mean starting step, of 1000, from
    which detail is drawn (0: nothing is drawn); `seconds` is the estimated time to restore the person on a CPU core.
    """
    with reporting(verbose, lambda: "interrupted; nothing was written") as console:
        load_settings(preset, config, overrides)
        if output is not None:
            check_writable(output, source, overwrite)
        from dynface_video import api
        from dynface_video.cli.progress import progress_display

        with progress_display(console) as report:
            found, people = api.list_people(
                source, analysis=analysis, preset=preset, config=config, progress=report, sheet=output, **overrides
            )
        warn(found.warnings)
        answer = {"people": [one.as_dict() for one in people], "skip_reasons": dict(found.skip_reasons)}
        lines = _table(people, found, output)
    print_answer(answer, lines, as_json)


def _table(people: Sequence[ListedPerson], analysis: Analysis, sheet: Path | None) -> list[str]:
    from dynface_video.passes.face_sheet import times_in_short

    rows = [
        (
            str(one.summary.number),
            times_in_short(one.summary, MOST_SPANS),
            str(one.summary.frames),
            f"{one.summary.size:.0f} px",
            f"{one.summary.blur_level:.2%}",
            f"{one.summary.starting_step:.0f}",
            "-" if one.seconds is None else f"{one.seconds:.0f}",
        )
        for one in people
    ]
    lines = columns([HEADER, *rows]) if people else []
    lines.append(f"{count_people(len(people))} in {count(analysis.frame_count, 'frame')}")
    if analysis.skip_reasons:
        lines.append(skipped(analysis.skip_reasons))
    return [*lines, f"the faces are in {sheet}"] if sheet is not None and people else lines
