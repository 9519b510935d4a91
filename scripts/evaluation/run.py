"""The whole evaluation: faces in, a table, rows, a sheet and plots out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from dynface_video.errors import InputError
from dynface_video.pipeline import FaceRestorer
from evaluation.calibration import LevelReadings, plot_calibration, read_levels
from evaluation.contact_sheet import contact_sheet
from evaluation.faces import degrade_faces, load_clean_faces
from evaluation.maps import map_sheet, with_map
from evaluation.measure import Evaluation, evaluate
from evaluation.methods import LEARNED, METHODS, full_name, make_methods
from evaluation.perceptual import perceptual_measures
from evaluation.report import best_classical, level_table, markdown, write_csv
from evaluation.trade_off import plot_trade_off
from training.degradation import STRENGTHS

WITHOUT_MODELS = 128


@dataclass(frozen=True)
class EvaluationOptions:
    """What is compared on which faces.

    faces:       folder or tar of clean aligned faces; limit: that many of them, spread evenly
    methods:     by name; strengths: of the full method besides its default; fixed_steps, guidance_scales: that it is
                 compared with
    resolution:  of the faces; by default that of the models' crop, and larger ones are reduced to it and pasted back
    seed:        of the degradations
    plots:       draw the trade-off and the calibration (needs matplotlib)
    """

    faces: Path
    methods: Sequence[str] = METHODS
    strengths: Sequence[float] = ()
    fixed_steps: Sequence[int] = ()
    guidance_scales: Sequence[float] = ()
    limit: int | None = None
    preset: str = "mini"
    device: str = "auto"
    resolution: int | None = None
    seed: int = 0
    plots: bool = False


def run_evaluation(options: EvaluationOptions, out: Path, *, progress: Callable[[str], None]) -> str:
    """Evaluate and write into the folder `out`; returns the report in Markdown.

    results.csv has a row for each method, strength and face; table.md the report; contact_sheet.png faces to judge by
    eye; maps.png, with learned methods, the maps of `with_map`; trade_off.png and calibration.png the plots.
    Raises InputError for unusable faces or options, ModelError when weights are missing.
    """
    restorer = None
    if set(options.methods) & LEARNED or options.fixed_steps or options.guidance_scales:
        restorer = FaceRestorer.from_preset(options.preset, device=options.device)
    size = options.resolution or (restorer.resolution if restorer else WITHOUT_MODELS)
    at_crop = restorer is not None and size == restorer.resolution
    clean = load_clean_faces(options.faces, size, limit=options.limit)
    faces = {strength: degrade_faces(clean, strength, seed=options.seed) for strength in STRENGTHS}
    methods = make_methods(
        options.methods,
        restorer,
        strengths=sorted({*options.strengths, restorer.strength}) if restorer else (),
        fixed_steps=options.fixed_steps,
        scales=options.guidance_scales,
    )
    measures, missing = perceptual_measures()
    for message in missing:
        progress(message)
    _make_folder(out)
    evaluation = evaluate(faces, methods, measures=measures, progress=progress)
    readings = {s: read_levels(restorer, faces[s]) for s in STRENGTHS} if restorer and at_crop else {}

    write_csv(evaluation, out / "results.csv")
    report = markdown(evaluation, default_strength=restorer.strength if restorer else None)
    if readings:
        report += f"\nSE's blur levels against those measured from the truth:\n\n{level_table(readings)}\n"
    (out / "table.md").write_text(report)
    columns = {strength: _columns(evaluation, strength, restorer) for strength in STRENGTHS}
    _write_picture(out / "contact_sheet.png", contact_sheet(evaluation, columns))
    if restorer and at_crop:
        _write_picture(out / "maps.png", map_sheet(with_map(restorer), faces))
    if options.plots:
        _draw(evaluation, readings, out)
    return report


def _draw(evaluation: Evaluation, readings: dict[str, LevelReadings], out: Path) -> None:
    plot_trade_off(evaluation, out / "trade_off.png")
    if readings:
        plot_calibration(readings, out / "calibration.png")


def _columns(evaluation: Evaluation, strength: str, restorer: FaceRestorer | None) -> dict[str, str]:
    """Heading -> method of the contact sheet: what was measured of degraded, best classical, RM, full."""
    wanted = {"degraded": "degraded"}
    classical = best_classical(evaluation, strength)
    if classical:
        wanted[classical] = classical
    if restorer:
        full = full_name(restorer.strength)
        wanted |= {"rm": "rm", full: full}
    return {heading: method for heading, method in wanted.items() if method in evaluation.methods}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made ({error.strerror})") from error


def _write_picture(path: Path, picture: object) -> None:
    cv2.imwrite(str(path), picture[:, :, ::-1])  # type: ignore[index]
