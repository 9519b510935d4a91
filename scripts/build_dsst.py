"""Build the dynamic starting-step table of a prior from clean faces, and optionally plot it.

python scripts/build_dsst.py --prior dynface_video/models/mini/prior --out dynface_video/models/mini/starting_steps.json

A prior of 256 pixels or more needs faces that were not enlarged to its resolution (--largest-scale). One whose weights
are not at hand is described by its resolution; its schedule is then the default one:

python scripts/build_dsst.py --resolution 512 --set modern_512 --largest-scale 1 --faces 250 --tolerance 0.00434 \
    --out dynface_video/models/ffhq512/starting_steps.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from dynface_video.diffusion.levels import PAPER_RESOLUTION, level_in_pixels, relative_level
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import build_table
from dynface_video.pretrained import CONFIG
from training.data import load_faces, plain_crop

BLUR_LEVELS_512 = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 32)


def main() -> None:
    """Parse the command line; build, save, plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described = parser.add_mutually_exclusive_group(required=True)
    described.add_argument("--prior", type=Path, help="model folder the table is for")
    described.add_argument("--resolution", type=int, help="of a prior trained on all steps of the default schedule")
    parser.add_argument("--set", default="modern_256", help="faces of faces_train that it is built from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DYNFACE_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--largest-scale", type=float, default=np.inf, help="leaves out faces enlarged by more")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()

    if options.prior:
        config = json.loads((options.prior / CONFIG).read_text())
        resolution, schedule = config["resolution"], NoiseSchedule(**(config["schedule"] or {}))
        last_step = config["last_timestep"] - 1
    else:
        resolution, schedule = options.resolution, NoiseSchedule()
        last_step = schedule.num_train_timesteps - 1
    native = int(options.set.rpartition("_")[2])
    faces = load_faces(options.data / "faces_train", (options.set,), options.cache, native=native)
    sharp = faces.indices(held_out=False, largest_scale=options.largest_scale)
    chosen = sharp[:: max(1, len(faces.images) // options.faces)]
    images = np.stack([plain_crop(faces, int(i), resolution) for i in chosen]) * 2 - 1
    levels = tuple(relative_level(level, PAPER_RESOLUTION) for level in BLUR_LEVELS_512)
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    table = build_table(
        images, schedule, tolerance=options.tolerance, blur_levels=levels, last_step=last_step, data_digest=digest
    )
    table.save(options.out)
    for level, step in zip(table.blur_levels, table.steps, strict=True):
        print(f"s = {level_in_pixels(level, resolution):6.3f} px at {resolution}: t = {step}")
    if options.plot:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        pyplot.plot(table.blur_levels, table.steps, "o-")
        pyplot.xlabel("blur level, std as a share of the side of the crop")
        pyplot.ylabel(f"starting step (tolerance {options.tolerance})")
        pyplot.savefig(options.plot)


if __name__ == "__main__":
    main()
