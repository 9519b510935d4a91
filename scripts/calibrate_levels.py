"""Make SE's stated uncertainty honest: scale it so that 68 % of held-out training faces lie within one std.

python scripts/calibrate_levels.py --preset mini --plot runs/calibration.png

The factor goes into the exported model's config.json. The faces took no part in training; those of the evaluation are
not looked at.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import torch

from dynface_video.config import load_settings
from dynface_video.models.registry import model_folder
from dynface_video.pipeline import FacePipeline
from dynface_video.pretrained import CONFIG
from evaluation.calibration import plot_calibration, pooled, read_levels
from evaluation.faces import CleanFace, degrade_faces
from evaluation.report import level_table
from training.data import load_faces, plain_crop
from training.degradation import STRENGTHS


def main() -> None:
    """Parse the command line; read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mini", help="the preset whose SE is calibrated")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DYNFACE_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)

    settings = load_settings(options.preset, None, {"device": "cpu"})
    pipeline = FacePipeline.from_settings(settings)
    faces = load_faces(options.data / "faces_train", ("modern_256", "archive_256"), options.cache)
    chosen = faces.indices(held_out=True)
    clean = [CleanFace(str(i), plain_crop(faces, int(i), pipeline.resolution)) for i in chosen]
    readings = {strength: read_levels(pipeline.stages[0], degrade_faces(clean, strength)) for strength in STRENGTHS}
    print(level_table(readings))

    factor = pooled(readings.values()).std_scale
    in_all = scale_std(model_folder(settings.models) / "blur_level", factor)
    print(f"std is multiplied by {factor:.3f}: {in_all:.3f} in all")
    if options.plot:
        plot_calibration(readings, options.plot)


def scale_std(folder: Path, factor: float) -> float:
    """Multiply the stds that an exported SE states by a factor; returns what they are multiplied by in all."""
    config = json.loads((folder / CONFIG).read_text())
    config["std_scale"] = float(config.get("std_scale", 1.0) * factor)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    return config["std_scale"]


if __name__ == "__main__":
    main()
