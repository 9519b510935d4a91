"""The command `evaluate`: how good the restoration is on clean faces that are degraded first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynface_video.cli.console import complain, reporting
from dynface_video.cli.options import Preset, Verbose
from dynface_video.errors import InputError


def evaluate(
    faces: Annotated[
        Path, typer.Argument(metavar="FACES", help="Folder or tar of clean aligned faces.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the report.")],
    held_out: Annotated[
        str | None,
        typer.Option(metavar="SET", help="FACES holds training sets: take the held-out crops of this one."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="What is compared; a wrong name lists all. [default: most]")
    ] = None,
    strength: Annotated[
        str, typer.Option(metavar="S,...", help="Strengths of full and product besides the default.")
    ] = "",
    fixed_step: Annotated[
        str, typer.Option(metavar="T,...", help="Starting steps for every face, to compare the table with.")
    ] = "",
    guidance_scale: Annotated[
        str, typer.Option(metavar="A,...", help="Guidance scales for every place, to compare the map with.")
    ] = "",
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most so many faces.")] = None,
    preset: Preset = "mini",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Device of the networks.")] = "auto",
    resolution: Annotated[
        int | None, typer.Option(metavar="R", help="Of the faces. [default: of the models' crop, 128]")
    ] = None,
    largest_stage: Annotated[
        int | None, typer.Option(metavar="R", help="The last stage that faces go through. [default: of their size]")
    ] = None,
    teachers: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Weights of the measuring networks. [default: $DYNFACE_DATA/teachers]"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the degradations.")] = 0,
    plots: Annotated[bool, typer.Option("--plots", help="Also draw plots (needs matplotlib).")] = False,
    verbose: Verbose = False,
) -> None:
    """Degrade clean FACES in three strengths, restore them by several methods, and measure what comes out.

    DIR gets results.csv, table.md and a contact sheet for each strength, with learned methods maps.png, and with
    --plots trade_off.png and calibration.png.
    """
    with reporting(verbose, lambda: "interrupted; nothing was written"):
        from evaluation.methods import METHODS
        from evaluation.run import EvaluationOptions, run_evaluation

        options = EvaluationOptions(
            faces,
            held_out=held_out,
            methods=tuple(methods.split(",")) if methods else METHODS,
            strengths=_numbers("--strength", strength),
            fixed_steps=[round(step) for step in _numbers("--fixed-step", fixed_step)],
            guidance_scales=_numbers("--guidance-scale", guidance_scale),
            limit=limit,
            preset=preset,
            device=device,
            resolution=resolution,
            largest_stage=largest_stage,
            teachers=teachers,
            seed=seed,
            plots=plots,
        )
        report = run_evaluation(options, output, progress=complain)
    typer.echo(report)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"{option} is {text!r}; it must be numbers with commas between them") from error
