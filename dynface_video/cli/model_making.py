"""The commands `models convert` and `models fit`: a model of one's own from a checkpoint, or for a restorer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynface_video.cli.console import print_answer, reporting
from dynface_video.cli.options import Json, Verbose
from dynface_video.config import load_settings

if TYPE_CHECKING:
    pass

Output = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FOLDER if such a command wrote it.")]


def convert(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Weights of a prior: .pth, .pt, .safetensors.")
    ],
    output: Output,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON with its architecture, where that is not recognised by its tensors."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Convert the checkpoint of a diffusion prior to a folder of safetensors, for --prior FOLDER.

    Pickles are read without running anything in them. Every tensor must be accounted for and have its shape. FOLDER
    appears when it is complete, with a SHA-256 for each file.
    """
    with reporting(verbose, lambda: "interrupted; nothing was written"):
        from dynface_video.models.conversion.folder import convert_prior

        made = convert_prior(checkpoint, output, config=config, overwrite=overwrite)
        answer = {
            "folder": str(made.folder),
            "architecture": made.architecture,
            "parameters": made.parameters,
            "tensors": made.tensors,
            "files": dict(made.files),
        }
    digests = [f"  {digest}  {name}" for name, digest in made.files.items()]
    lines = [
        f"{output}: {made.architecture}, {made.parameters / 1e6:.1f} M parameters in {made.tensors} tensors",
        *digests,
    ]
    print_answer(answer, [*lines, f"use it with --preset ffhq512 --prior {output}"], as_json)


def fit(
    faces: Annotated[Path, typer.Option(metavar="FOLDER", help="Clean, sharp, aligned crops of at least 512 pixels.")],
    output: Output,
    *,
    restorer: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="The restorer to fit to. [default: the preset's own]")
    ] = None,
    prior: Annotated[str | None, typer.Option(metavar="PATH|NAME", help="The prior that the map is for.")] = None,
    adjuster: Annotated[
        bool, typer.Option("--adjuster", help="Also fit the guidance map, which needs the prior.")
    ] = False,
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="Whose restorer to fit to without --restorer; FOLDER is for ffhq512.")
    ] = "ffhq512",
    rounds: Annotated[int, typer.Option(min=1, help="How often each crop is degraded.")] = 2,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the crops.")] = 12,
    map_steps: Annotated[int, typer.Option(min=1, help="Training steps of the guidance map.")] = 400,
    device: Annotated[str | None, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Torch device.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Fit the blur estimator, and the guidance map, to what a restorer leaves behind.

    Takes a few hundred crops, and minutes on a GPU. FOLDER becomes a model set with a settings.yaml that uses it.
    """
    with reporting(verbose, lambda: "interrupted; nothing was written") as console:
        settings = load_settings(preset, None, {"restorer": restorer, "prior": prior, "device": device})
        from dynface_video.fitting.model_set import FitOptions, fit_model_set

        options = FitOptions(rounds, epochs, adjuster, map_steps, overwrite=overwrite)
        from dynface_video.cli.progress import progress_display

        with progress_display(console) as report:
            made = fit_model_set(settings, faces, output, options, report)
    print_answer(made, _summary(made, output), as_json)


def _summary(made: dict[str, Any], output: Path) -> list[str]:
    lines = [
        f"{output}: fitted on {made['pairs']} degraded crops of {made['crops']}, {made['held_out']} of them held out",
        f"blur level: mean error {made['level_error']} pixels at 512 (of a constant: "
        f"{made['level_error_of_a_constant']}), {100 * made['level_coverage']:.0f} % within the stated uncertainty",
    ]
    if "map_loss" in made:
        lines.append(
            f"guidance map: distance {made['map_loss']} (best scale for the whole face, {made['best_global_scale']}: "
            f"{made['best_global_loss']})"
        )
    return [*lines, f"use it with --preset ffhq512 --config {output / 'settings.yaml'}"]
