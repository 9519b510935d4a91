"""The whole evaluation: faces in, a table, rows, a sheet and plots out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from dynface_video.errors import InputError
from dynface_video.pipeline import FacePipeline
from evaluation.calibration import LevelReadings, plot_calibration, read_levels
from evaluation.contact_sheet import contact_sheet
from evaluation.faces import CleanFace, degrade_faces, load_clean_faces, load_held_out
from evaluation.maps import map_sheet, with_map
from evaluation.measure import Evaluation, evaluate
from evaluation.methods import LEARNED, METHODS, Variants, full_name, make_methods
from evaluation.network_measures import network_measures
from evaluation.product import product_name
from evaluation.report import best_classical, level_table, markdown, write_csv
from evaluation.targets import check_targets
from evaluation.trade_off import plot_trade_off
from teachers.weights import teacher_folder
from training.degradation import STRENGTHS

WITHOUT_MODELS = 128


@dataclass(frozen=True)
class EvaluationOptions:
    """What is compared on which faces.

    faces:       folder or tar of clean aligned faces; with held_out the folder of the training sets
    held_out:    name of a training set of which the held-out crops are taken
    limit:       at most that many faces
    methods:     by name; strengths: of "full" and "product" besides the default; fixed_steps, guidance_scales: what the
                 full method is compared with
    resolution:  of the faces; by default that of the first stage's crops
    largest_stage: side of the last stage that faces go through; by default that of the faces, on every device
    teachers:    folder of the weights of perceptual and identity distance; None: `teachers.weights.teacher_folder`
    seed:        of the degradations
    plots:       draw the trade-off and the calibration (needs matplotlib)
    """

    faces: Path
    held_out: str | None = None
    methods: Sequence[str] = METHODS
    strengths: Sequence[float] = ()
    fixed_steps: Sequence[int] = ()
    guidance_scales: Sequence[float] = ()
    limit: int | None = None
    preset: str = "mini"
    device: str = "auto"
    resolution: int | None = None
    largest_stage: int | None = None
    teachers: Path | None = None
    seed: int = 0
    plots: bool = False


def run_evaluation(options: EvaluationOptions, out: Path, *, progress: Callable[[str], None]) -> str:
    """Evaluate and write into the folder `out`.

    results.csv has a row for each method, strength and face; table.md the report; contact_<strength>.png faces to judge
    by eye; maps.png, with learned methods, the first stage's maps of `with_map`; trade_off.png and
    calibration.png the plots.

    Returns:
        The report in Markdown.

    Raises:
        InputError: For unusable faces or options.
        ModelError: When weights are missing.
    """
    pipeline = None
    if set(options.methods) & LEARNED or options.fixed_steps or options.guidance_scales:
        pipeline = FacePipeline.from_pretrained(options.preset, device=options.device)
    size = options.resolution or (pipeline.resolution if pipeline else WITHOUT_MODELS)
    largest = options.largest_stage or size
    if pipeline is not None:
        pipeline = pipeline.with_settings(resolution=largest)
    clean = _clean_faces(options, size)
    faces = {strength: degrade_faces(clean, strength, seed=options.seed) for strength in STRENGTHS}
    methods = make_methods(options.methods, pipeline, _variants(options, pipeline, largest))
    measures, missing = network_measures(options.teachers or teacher_folder())
    for message in missing:
        progress(message)
    _make_folder(out)
    evaluation = evaluate(faces, methods, measures=measures, progress=progress)
    at_crop = pipeline is not None and size == pipeline.resolution
    readings = {s: read_levels(pipeline.stages[0], faces[s]) for s in STRENGTHS} if pipeline and at_crop else {}
    report = _write_report(evaluation, readings, pipeline, out)
    if pipeline:
        _write_picture(out / "maps.png", map_sheet(with_map(pipeline), faces))
    if options.plots:
        _draw(evaluation, readings, out)
    return report


def _clean_faces(options: EvaluationOptions, size: int) -> list[CleanFace]:
    if options.held_out:
        return load_held_out(options.faces, options.held_out, size, limit=options.limit)
    return load_clean_faces(options.faces, size, limit=options.limit)


def _variants(options: EvaluationOptions, pipeline: FacePipeline | None, largest_stage: int) -> Variants:
    return Variants(
        strengths=sorted({*options.strengths, pipeline.settings.strength}) if pipeline else (),
        fixed_steps=options.fixed_steps,
        scales=options.guidance_scales,
        preset=options.preset,
        device=options.device,
        largest_stage=largest_stage,
    )


def _write_report(
    evaluation: Evaluation, readings: dict[str, LevelReadings], pipeline: FacePipeline | None, out: Path
) -> str:
    write_csv(evaluation, out / "results.csv")
    targets = []
    if pipeline is not None:
        name = product_name if product_name(pipeline.settings.strength) in evaluation.methods else full_name
        side = next(iter(evaluation.faces.values()))[0].image.shape[0]
        own = pipeline.settings.strength
        targets = check_targets(evaluation, name(own), name(1.0), stages=len(pipeline.stages_for(side)))
    report = markdown(evaluation, targets)
    if readings:
        report += f"\nSE's blur levels against those measured from the truth:\n\n{level_table(readings)}\n"
    (out / "table.md").write_text(report)
    for strength in evaluation.faces:
        columns = _columns(evaluation, strength, pipeline)
        _write_picture(out / f"contact_{strength}.png", contact_sheet(evaluation, strength, columns))
    return report


def _draw(evaluation: Evaluation, readings: dict[str, LevelReadings], out: Path) -> None:
    plot_trade_off(evaluation, out / "trade_off.png")
    if readings:
        plot_calibration(readings, out / "calibration.png")


def _columns(evaluation: Evaluation, strength: str, pipeline: FacePipeline | None) -> dict[str, str]:
    """Heading to method of the contact sheet: the input, and what was measured of best classical, RM, full, product."""
    wanted = ["degraded"]
    if pipeline:
        wanted += ["rm", full_name(pipeline.settings.strength), product_name(pipeline.settings.strength)]
    elif best := best_classical(evaluation, strength):
        wanted.append(best)
    return {"input" if m == "degraded" else m: m for m in wanted if m in evaluation.methods}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made ({error.strerror})") from error


def _write_picture(path: Path, picture: object) -> None:
    cv2.imwrite(str(path), picture[:, :, ::-1])  # type: ignore[index]
