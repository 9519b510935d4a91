"""The command `restore`: a video, a picture or a folder of pictures; its preview and its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynface_video.cli.compare import Compare, checked_mode, preview_summary, versions_of
from dynface_video.cli.console import PARTLY_FAILED, print_answer, reporting, warn
from dynface_video.cli.options import Config, Json, Preset, Restart, Source, Verbose, setting_options, span_of
from dynface_video.cli.panels import WHO
from dynface_video.cli.summary import plan_summary, restore_summary
from dynface_video.config import Overrides, load_settings
from dynface_video.config.option import RESTORE
from dynface_video.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

Answer = tuple[dict[str, Any], list[str], bool]
"""A result as JSON data, as lines of text, and whether it is complete."""
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUTPUT", help="The file to write, or the folder of images.")
]
PreviewSpan = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="LENGTH@START",
        help="Restore only this span, such as 5s@00:30, into a short clip; several strengths (--strength 0.3,0.6,0.9) "
        "are shown side by side.",
    ),
]
AnalysisFile = Annotated[
    Path | None,
    typer.Option(
        "--analysis", metavar="FILE", help="A file written by analyze -o, edited or not; INPUT is not analysed."
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Restore from this time on; what is before it stays unchanged.", rich_help_panel=WHO
    ),
]
End = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Restore up to this time; what is after it stays unchanged.", rich_help_panel=WHO
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and print what it would take; write nothing.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")]


@setting_options(RESTORE)
def restore(
    source: Source,
    output: Output,
    *,
    overrides: Overrides,
    preview: PreviewSpan = None,
    compare: Compare = None,
    analysis: AnalysisFile = None,
    start: Start = None,
    end: End = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    restart: Restart = False,
    preset: Preset = "mini",
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Restore the faces of INPUT and write the video, image or folder of images to OUTPUT.

    An interrupted restoration resumes where it stopped when the same command is given again.
    Exit codes: 0 done, 1 failed, 2 unusable input or options, 3 part of the source could not be read (the rest is
    restored), 130 interrupted, 143 stopped by SIGTERM.
    """
    with reporting(verbose, lambda: _how_to_resume(output)) as console:
        overrides |= span_of(start, end, overrides)
        versions = versions_of(overrides) if preview is not None else ()
        if compare is not None and preview is None:
            raise InputError("--compare belongs to --preview; dynface-video compare makes a clip of two videos")
        if preview is not None and (dry_run or restart):
            raise InputError("--dry-run and --restart cannot be used with --preview, which makes a clip without a job")
        # Before the networks' libraries, which take seconds to load.
        load_settings(preset, config, overrides)
        given: dict[str, Any] = {
            "preset": preset, "config": config, "overwrite": overwrite, "analysis": analysis, **overrides,
        }  # fmt: skip
        if preview is not None:
            clip = {"versions": versions, "compare": checked_mode(compare)}
            answer, lines, complete = _preview(console, source, output, preview, given | clip)
        elif dry_run:
            answer, lines, complete = _plan(source, output, given)
        else:
            answer, lines, complete = _restore(console, source, output, given | {"resume": not restart})
    print_answer(answer, lines, as_json)
    if not complete:
        raise typer.Exit(PARTLY_FAILED)


def _how_to_resume(output: Path) -> str:
    from dynface_video.jobs.directory import job_path

    job = job_path(output)
    if not job.exists():
        return "interrupted before anything was done"
    return f"interrupted; finished work is kept in {job}: give the same command to resume"


def _preview(console: Console, source: Path, output: Path, span: str, options: dict[str, Any]) -> Answer:
    from dynface_video import api
    from dynface_video.cli.progress import progress_display

    with progress_display(console) as report:
        shown = api.preview_video(source, output, span, progress=report, **options)
    return shown.as_dict(), preview_summary(shown), True


def _plan(source: Path, output: Path, options: dict[str, Any]) -> Answer:
    from dynface_video import api

    plan = api.plan_video(source, output, **options)
    return plan.as_dict(), plan_summary(plan), True


def _restore(console: Console, source: Path, output: Path, options: dict[str, Any]) -> Answer:
    from dynface_video import api
    from dynface_video.cli.progress import progress_display

    with progress_display(console) as report:
        result = api.restore_video(source, output, progress=report, **options)
    warn(result.warnings)
    complete = not result.missing and all(picture.output is not None for picture in result.pictures)
    return result.as_dict(), restore_summary(result), complete
