"""The command `report`: the page that tells what a restoration did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynface_video.cli.console import print_answer, reporting
from dynface_video.cli.options import Json, Verbose


def report(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT|JOB",
            help="What restore wrote, its record, or the directory of an unfinished job.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The page. [default: OUTPUT.report.html]", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write a page that shows what was done to which face when: one HTML file that needs no network.

    It is made from the record that restore keeps beside its output (OUTPUT.record.zip).
    """
    with reporting(verbose, lambda: "interrupted; nothing was written"):
        from dynface_video import api

        page = api.write_report(path, output, overwrite=overwrite)
        answer = {"report": str(page), "bytes": page.stat().st_size}
    print_answer(answer, [f"{page}: open it in a browser"], as_json)
