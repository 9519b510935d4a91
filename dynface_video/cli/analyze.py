"""The command `analyze`: the shots and faces of a video, and what would be restored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynface_video.cli.console import print_answer, reporting, warn
from dynface_video.cli.files import check_writable
from dynface_video.cli.options import Config, Json, Preset, Source, Verbose, setting_options
from dynface_video.cli.summary import analysis_overview, analysis_summary
from dynface_video.config import Overrides, load_settings
from dynface_video.config.option import ANALYZE
from dynface_video.errors import SelectionError


@setting_options(ANALYZE)
def analyze(
    source: Source,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write the whole analysis as JSON.")
    ] = None,
    overrides: Overrides,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    preset: Preset = "mini",
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Print the shots and faces of INPUT and what would be restored, without restoring anything."""
    with reporting(verbose, lambda: "interrupted; nothing was written") as console:
        load_settings(preset, config, overrides)
        if output is not None:
            check_writable(output, source, overwrite)
        from dynface_video import api
        from dynface_video.cli.progress import progress_display

        try:
            with progress_display(console) as report:
                analysis = api.analyze_video(source, preset=preset, config=config, progress=report, **overrides)
        except SelectionError as error:
            if output is None or error.found is None:
                raise
            error.found.save(output)
            warn(error.found.warnings)
            raise SelectionError(f"{error}; the analysis is in {output}, with everybody selected") from error
        if output is not None:
            analysis.save(output)
        warn(analysis.warnings)
        overview, lines = analysis_overview(analysis), analysis_summary(analysis, output)
    print_answer(overview, lines, as_json)
