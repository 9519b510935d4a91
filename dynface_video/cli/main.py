"""The commands: they read options, show progress and turn errors into exit codes; `api` and `demo` do the work.

Slow libraries are imported inside the functions, so that `--help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
from pathlib import Path
from typing import Annotated

import typer

import dynface_video
from dynface_video.allocation import share_arenas
from dynface_video.cli.analyze import analyze
from dynface_video.cli.batch import batch, status
from dynface_video.cli.compare import compare
from dynface_video.cli.console import print_answer, reporting, warn
from dynface_video.cli.doctor import doctor
from dynface_video.cli.faces import faces
from dynface_video.cli.group import HintingGroup
from dynface_video.cli.models import models
from dynface_video.cli.options import Config, Json, Preset, Verbose, examples
from dynface_video.cli.panels import PanelCommand
from dynface_video.cli.report import report
from dynface_video.cli.restore import restore
from dynface_video.cli.ui import ui
from dynface_video.config import load_settings
from dynface_video.config.reference import settings_yaml

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
    # Before a library starts threads.
    share_arenas()
    # At exit the interpreter searches all objects for garbage several times, with the networks' libraries for a second.
    atexit.register(gc.freeze)


main.command(
    short_help="Restore a video, an image or a folder of images.",
    cls=PanelCommand,
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
    ),
)(restore)
main.command(
    short_help="Find shots and faces without restoring anything.",
    cls=PanelCommand,
    epilog=examples(
        "dynface-video analyze old.mkv",
        "dynface-video analyze old.mkv -o analysis.json --faces largest",
    ),
)(analyze)


@main.command(
    short_help="Print all settings as a file for --config.",
    epilog=examples("dynface-video settings --preset archive > mine.yaml"),
)
def settings(preset: Preset = "mini", config: Config = None, verbose: Verbose = False) -> None:
    """Print all settings with their meaning, range and value, as a file for --config."""
    with reporting(verbose, lambda: "interrupted"):
        found = load_settings(preset, config)
    typer.echo(settings_yaml(found, f"Settings of the preset {preset}{f' with {config}' if config else ''}."), nl=False)


@main.command(
    short_help="Damage a clip, restore it, and measure the gain.",
    epilog=examples("dynface-video demo", "dynface-video demo -o somewhere --device cpu"),
)
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
        from dynface_video.cli.progress import progress_display

        with progress_display(console) as report:
            result = demonstration.run_demo(out, progress=report, preset=preset, device=device, overwrite=overwrite)
        warn(result.warnings)
    print_answer(result.as_dict(), [result.table()], as_json)


main.command(
    short_help="List the people in a video.",
    cls=PanelCommand,
    epilog=examples(
        "dynface-video faces old.mkv",
        "dynface-video faces old.mkv -o sheet.png",
        "dynface-video faces old.mkv -o sheet.png --analysis analysis.json --json",
    ),
)(faces)
main.command(
    short_help="Show two videos or pictures side by side.",
    epilog=examples(
        "dynface-video compare old.mkv restored.mkv -o side_by_side.mp4",
        "dynface-video compare old.mkv restored.mkv -o split.mp4 --compare split",
        "dynface-video compare old.mkv restored.mkv -o sheet.png",
    ),
)(compare)
main.command(
    short_help="Restore many videos with one pool of workers.",
    cls=PanelCommand,
    epilog=examples(
        "dynface-video batch films/ -o restored/",
        "dynface-video batch films/ list.csv -o restored/ --workers 4",
        "dynface-video batch films/ -o restored/ --workers 32 --address auto",
        "dynface-video batch incoming/ -o restored/ --watch",
    ),
)(batch)
main.command(
    short_help="Write a page that shows what was restored.",
    epilog=examples("dynface-video report restored.mkv", "dynface-video report restored.mkv -o report.html"),
)(report)
main.command(
    short_help="Print the progress of a job or a batch.",
    epilog=examples("dynface-video status restored/", "dynface-video status restored.mkv --json"),
)(status)

main.command(
    short_help="Check this machine and say what to fix.",
    epilog=examples("dynface-video doctor", "dynface-video doctor --json"),
)(doctor)
main.add_typer(models)

main.command(
    short_help="Open a page in the browser.",
    epilog=examples("dynface-video ui", "dynface-video ui films/ --folder work --port 8000"),
)(ui)
