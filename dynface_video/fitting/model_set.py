"""A model set fitted to a restorer: SE anew, and the guidance map of the prior if asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn import functional

from dynface_video.config import Settings, changed_settings
from dynface_video.diffusion.levels import level_in_pixels
from dynface_video.fitting.blur_level import fit_blur_level
from dynface_video.fitting.guidance_map import fit_guidance_map
from dynface_video.fitting.pairs import Pairs, Regress, crop_files, make_pairs
from dynface_video.media.io.files import complete_folder
from dynface_video.models.conversion.folder import check_new_folder
from dynface_video.models.protocols import Regression
from dynface_video.models.registry import model_folder
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.models.restorer import RESOLUTION
from dynface_video.pipeline import FacePipeline
from dynface_video.pretrained import save_pretrained
from dynface_video.stage_loading import INDEX, stage_configs

BASE = "ffhq512"
"""The model set whose prior, table and stage are taken over where the settings' own has no prior of 512 pixels."""
SETTINGS = "settings.yaml"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class FitOptions:
    """How a model set is fitted.

    Attributes:
        rounds: How often each crop is degraded.
        epochs: Of SE's training.
        adjuster: Whether the guidance map is fitted, which needs the prior.
        map_steps: Of the map's training.
        seed: Of everything.
        overwrite: Replace the folder if it exists.
    """

    rounds: int = 2
    epochs: int = 12
    adjuster: bool = False
    map_steps: int = 400
    seed: int = 0
    overwrite: bool = False


def fit_model_set(
    settings: Settings, faces: Path, folder: Path, options: FitOptions, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Fit SE, and the guidance map, to a restorer.

    Args:
        settings: Name the restorer (`restoration.restorer`, or the model set's own RM), the prior and the device.
        faces: Folder of clean, sharp, aligned crops of at least 512 pixels; a few hundred.
        folder: For the model set; it appears when it is complete.
        options: How.
        on_progress: See `Progress`.

    Returns:
        What was measured on the crops that were held out; levels in pixels at 512.

    Raises:
        InputError: A path cannot be used.
        ModelError: A network is missing or cannot be used.
    """
    check_new_folder(folder, SETTINGS, overwrite=options.overwrite)
    tell, files = on_progress or (lambda what, done, total: None), crop_files(faces)
    alone = changed_settings(settings, {"restoration": {"method": "restorer", "prior": None, "guidance_map": "none"}})
    pipeline = FacePipeline.from_settings(alone)
    pairs = make_pairs(
        files,
        whole_regression(pipeline),
        RESOLUTION,
        rounds=options.rounds,
        seed=options.seed,
        device=pipeline.device,
        on_crop=lambda done, total: tell("crops", done, total),
    )
    with complete_folder(folder) as temporary:
        shutil.copytree(_base(settings), temporary, ignore=shutil.ignore_patterns("blur_level"))
        report = _fit_level(pairs, temporary, options, pipeline.device, tell)
        _write_settings(settings, temporary, adjuster=False)
        if options.adjuster:
            report |= _fit_map(pairs, settings, temporary, options, tell)
            _write_settings(settings, temporary, adjuster=True)
    return {"folder": str(folder), "crops": len(files), "pairs": len(pairs)} | report


def _base(settings: Settings) -> Path:
    """The folder of the model set that is extended: of one stage of 512 pixels with a prior."""
    own = model_folder(settings.models)
    stages = stage_configs(own)
    guided = len(stages) == 1 and stages[0].resolution == RESOLUTION and stages[0].prior is not None
    return own if guided and stages[0].blur_estimator == "blur_level" else model_folder(BASE)


def whole_regression(pipeline: FacePipeline) -> Regress:
    """What the RMs of a pipeline make of crops of the last stage: from the coarsest stage on, without sampling."""

    def regress(crops: Tensor) -> Regression:
        coarse: Tensor | None = None
        made: Regression | None = None
        for stage in pipeline.stages:
            size = stage.resolution
            own = crops if crops.shape[-1] == size else functional.interpolate(crops, (size, size), mode="area")
            reads = stage.restoration.reads_coarse and coarse is not None
            enlarged = enlarge_coarse(coarse, size) if reads and coarse is not None else None
            made = stage.restoration.regress(own, enlarged, None, None)
            coarse = made.estimate.float().clamp(-1, 1)
        assert made is not None
        return made

    return regress


def _fit_level(
    pairs: Pairs, folder: Path, options: FitOptions, device: torch.device, tell: Progress
) -> dict[str, float]:
    fit = fit_blur_level(
        pairs,
        epochs=options.epochs,
        seed=options.seed,
        device=device,
        on_step=lambda done, total: tell("blur level", done, total),
    )
    save_pretrained(fit.network, folder / "blur_level")
    return {
        "level_error": round(level_in_pixels(fit.error, RESOLUTION), 3),
        "level_error_of_a_constant": round(level_in_pixels(fit.constant_error, RESOLUTION), 3),
        "level_coverage": round(fit.coverage, 3),
        "held_out": fit.crops,
    }


def _fit_map(pairs: Pairs, settings: Settings, folder: Path, options: FitOptions, tell: Progress) -> dict[str, float]:
    guided = changed_settings(settings, {"restoration": {"guidance_map": "none", "method": "guided"}})
    stage = FacePipeline.from_settings(guided.model_copy(update={"models": str(folder)})).stages[-1]
    fit = fit_guidance_map(
        pairs,
        stage,
        steps=options.map_steps,
        seed=options.seed,
        on_step=lambda done, total: tell("guidance map", done, total),
    )
    save_pretrained(fit.network, folder / "adjuster")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    for described in index["stages"]:
        described["adjuster"] = "adjuster"
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return {
        "map_loss": round(fit.loss, 5),
        "best_global_loss": round(fit.global_loss, 5),
        "best_global_scale": fit.global_scale,
    }


def _write_settings(settings: Settings, folder: Path, *, adjuster: bool) -> None:
    """A configuration that uses the set, wherever it is carried: `.` is the folder of the file."""
    chosen = settings.restoration
    given = {"restorer": chosen.restorer, "fidelity": chosen.fidelity, "prior": chosen.prior}
    restoration = {name: value for name, value in given.items() if value is not None}
    restoration |= {"guidance_map": "trained"} if adjuster else {}
    values = {"models": "."} | ({"restoration": restoration} if restoration else {})
    text = "# Use with --preset ffhq512 --config THIS_FILE. Made by dynface-video models fit.\n"
    (folder / SETTINGS).write_text(text + yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
