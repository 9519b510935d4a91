"""The commands: they read options, show progress and turn errors into exit codes; `api` and `demo` do the work.

Slow libraries are imported inside the functions, so that `--help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import dynface_video
from dynface_video.cli.batch import batch, status
from dynface_video.cli.compare import Compare, checked_mode, preview_summary, versions_of
from dynface_video.cli.compare import compare as compare_command
from dynface_video.cli.console import complain, reporting
from dynface_video.cli.doctor import doctor
from dynface_video.cli.faces import faces
from dynface_video.cli.files import check_writable
from dynface_video.cli.group import HintingGroup
from dynface_video.cli.models import models
from dynface_video.cli.options import Config, Json, Preset, Restart, Source, Verbose, examples, setting_options, span_of
from dynface_video.cli.report import report
from dynface_video.cli.summary import analysis_overview, analysis_summary, plan_summary, restore_summary
from dynface_video.cli.ui import ui
from dynface_video.config import Overrides, load_settings
from dynface_video.config.option import ANALYZE, RESTORE
from dynface_video.config.reference import settings_yaml
from dynface_video.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from dynface_video.cli.progress import Report

main = typer.Typer(
    cls=HintingGroup,
    name="dynface-video",
    help="Restore the faces in a video and keep everything else in the file.",
    epilog=examples(
        "dynface-video demo",
        "dynface-video restore old.mkv -o restored.mkv",
        "dynface-video faces old.mkv -o sheet.png",
        "dynface-video batch films/ -o restored/ --workers 2",
        "dynface-video status restored/",
        "dynface-video COMMAND --help",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: Rich would take as long to import as all the rest
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dynface-video {dynface_video.__version__}")
        raise typer.Exit


@main.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    # At exit the interpreter searches all objects for garbage several times, with the networks' libraries for a second.
    atexit.register(gc.freeze)


@main.command(
    epilog=examples(
        "dynface-video restore old.mkv -o restored.mkv",
        "dynface-video restore old.mkv -o restored.mkv --strength 0.3 --faces largest --json",
        "dynface-video restore old.mkv -o restored.mkv --faces 2 --strength 2=0.3@00:10-00:15 --exclude 2@00:20-00:30",
        "dynface-video restore old.mkv -o restored.mkv --start 00:10 --end 00:25",
        "dynface-video restore old.mkv -o preview.mp4 --preview 5s@00:30 --compare split",
        "dynface-video restore old.mkv -o preview.mp4 --preview 5s@00:30 --strength 0.3,0.6,0.9",
        "dynface-video restore album/ -o restored/",
        "dynface-video restore frames/ -o restored.mkv --images sequence --fps 24",
        "dynface-video restore old.mkv -o restored.mkv --analysis analysis.json",
    )
)
@setting_options(RESTORE)
def restore(
    source: Source,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUTPUT", help="The file to write, or the folder of images.")
    ],
    *,
    preset: Preset = "mini",
    config: Config = None,
    overrides: Overrides,
    analysis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What analyze -o wrote, perhaps edited; INPUT is not analysed.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Restore from here on; what is before comes through unchanged.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Restore up to here; what is after it comes through unchanged.")
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH@START",
            help="Restore only this span, such as 5s@00:30, quickly into a short clip; several strengths "
            "(--strength 0.3,0.6,0.9) are shown beside each other.",
        ),
    ] = None,
    compare: Compare = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
    restart: Restart = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and say what it would take; write nothing.")
    ] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Restore the faces of INPUT and write the video, image or folder of images to OUTPUT.

    An interrupted restoration resumes where it stopped when the same command is given again.
    Exit codes: 0 done, 1 failed, 2 unusable input or options, 130 interrupted, 143 stopped by SIGTERM.
    """

    def how_to_resume() -> str:
        from dynface_video.jobs.directory import job_path

        job = job_path(output)
        if not job.exists():
            return "interrupted before anything was done"
        return f"interrupted; finished work is kept in {job}: give the same command to resume"

    with reporting(verbose, how_to_resume) as console:
        overrides |= span_of(start, end, overrides)
        versions = versions_of(overrides) if preview is not None else ()
        if compare is not None and preview is None:
            raise InputError("--compare belongs to --preview; dynface-video compare makes a clip of two videos")
        if preview is not None and (dry_run or restart):
            raise InputError("--dry-run and --restart cannot be used with --preview, which makes a clip without a job")
        # Before the networks' libraries, which take seconds to load.
        load_settings(preset, config, overrides)
        from dynface_video import api

        if preview is not None:
            with _progress(console) as report:
                shown = api.preview_video(
                    source,
                    output,
                    preview,
                    versions=versions,
                    compare=checked_mode(compare),
                    analysis=analysis,
                    preset=preset,
                    config=config,
                    overwrite=overwrite,
                    progress=report,
                    **overrides,
                )
            answer = shown.as_dict() if as_json else preview_summary(shown)
        elif dry_run:
            plan = api.plan_video(
                source, output, preset=preset, config=config, overwrite=overwrite, analysis=analysis, **overrides
            )
            answer = plan.as_dict() if as_json else plan_summary(plan)
        else:
            with _progress(console) as report:
                result = api.restore_video(
                    source,
                    output,
                    preset=preset,
                    config=config,
                    overwrite=overwrite,
                    resume=not restart,
                    analysis=analysis,
                    progress=report,
                    **overrides,
                )
            _warn(result.warnings)
            answer = result.as_dict() if as_json else restore_summary(result)
    _answer(answer)


@main.command(
    epilog=examples(
        "dynface-video analyze old.mkv",
        "dynface-video analyze old.mkv -o analysis.json --faces largest",
    )
)
@setting_options(ANALYZE)
def analyze(
    source: Source,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write the whole analysis as JSON.")
    ] = None,
    preset: Preset = "mini",
    config: Config = None,
    overrides: Overrides,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Print the shots and faces of INPUT and what would be restored, without restoring anything."""
    with reporting(verbose, lambda: "interrupted; nothing was written") as console:
        load_settings(preset, config, overrides)
        if output is not None:
            check_writable(output, source, overwrite)
        from dynface_video import api

        with _progress(console) as report:
            analysis = api.analyze_video(source, preset=preset, config=config, progress=report, **overrides)
        if output is not None:
            analysis.save(output)
        _warn(analysis.warnings)
        answer = analysis_overview(analysis) if as_json else analysis_summary(analysis, output)
    _answer(answer)


@main.command(epilog=examples("dynface-video settings --preset archive > mine.yaml"))
def settings(preset: Preset = "mini", config: Config = None, verbose: Verbose = False) -> None:
    """Print all settings with their meaning, range and value, as a file for --config."""
    with reporting(verbose, lambda: "interrupted"):
        found = load_settings(preset, config)
    typer.echo(settings_yaml(found, f"Settings of the preset {preset}{f' with {config}' if config else ''}."), nl=False)


@main.command(epilog=examples("dynface-video demo", "dynface-video demo -o somewhere --device cpu"))
def demo(
    out: Annotated[
        Path, typer.Option("--output", "-o", "--out", metavar="DIR", help="Folder for the three videos.")
    ] = Path("dynface_demo"),
    preset: Preset = "mini",
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Device of the networks.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the videos of an earlier demo.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Make a short clip from a photograph, damage it, restore it, and print the gain and the time."""
    with reporting(verbose, lambda: "interrupted; give the command again with --overwrite") as console:
        from dynface_video.cli import demo as demonstration

        with _progress(console) as report:
            result = demonstration.run_demo(out, progress=report, preset=preset, device=device, overwrite=overwrite)
        _warn(result.warnings)
    _answer(result.as_dict() if as_json else [result.table()])


main.command(
    epilog=examples(
        "dynface-video faces old.mkv",
        "dynface-video faces old.mkv -o sheet.png",
        "dynface-video faces old.mkv -o sheet.png --analysis analysis.json --json",
    )
)(faces)
main.command(
    "compare",
    epilog=examples(
        "dynface-video compare old.mkv restored.mkv -o side_by_side.mp4",
        "dynface-video compare old.mkv restored.mkv -o split.mp4 --compare split",
        "dynface-video compare old.mkv restored.mkv -o sheet.png",
    ),
)(compare_command)
main.command(
    epilog=examples(
        "dynface-video batch films/ -o restored/",
        "dynface-video batch films/ list.csv -o restored/ --workers 4",
        "dynface-video batch films/ -o restored/ --workers 32 --address auto",
        "dynface-video batch incoming/ -o restored/ --watch",
    )
)(batch)
main.command(epilog=examples("dynface-video report restored.mkv", "dynface-video report restored.mkv -o report.html"))(
    report
)
main.command(epilog=examples("dynface-video status restored/", "dynface-video status restored.mkv --json"))(status)

main.command(epilog=examples("dynface-video doctor", "dynface-video doctor --json"))(doctor)
main.add_typer(models)

main.command(epilog=examples("dynface-video ui", "dynface-video ui films/ --folder work --port 8000"))(ui)


def _progress(console: Console) -> AbstractContextManager[Report]:
    from dynface_video.cli.progress import progress_display

    return progress_display(console)


def _warn(messages: Sequence[str]) -> None:
    for message in messages:
        complain(f"warning: {message}")


def _answer(answer: dict[str, Any] | list[str]) -> None:
    """Write the result, which alone goes to standard output."""
    typer.echo(json.dumps(answer) if isinstance(answer, dict) else "\n".join(answer))
