"""Evaluate how scratches, dust and stains are removed: clean clips damaged on purpose, restored by the whole pipeline.

python scripts/evaluate_damage.py --out runs/damage              # 24 frames of each clean clip of the data
python scripts/evaluate_damage.py CLIP.mp4 --frames 0 --crop 256 --strength mild

Each clip is cut around its face, damaged (lines that stay, and damage of single frames), coded if --strength says so,
and restored. Writes results.csv, table.md and clips side by side: clean, damaged, restored.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import numpy as np

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import load_settings
from dynface_video.errors import DynfaceError, InputError
from dynface_video.passes.networks import load_models
from dynface_video.threads import network_threads
from evaluation.clips import DAMAGES, load_clean_clip, through_codec
from evaluation.film_damage import damage_clip, damage_errors, markdown
from evaluation.report import write_rows
from evaluation.steadiness import restore_clip


def main() -> int:
    """Parse the command line, evaluate, write the files; 0 done, 2 unusable input."""
    options = _parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        with network_threads(options.threads):
            _run(options)
    except DynfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parse() -> argparse.Namespace:
    data = Path(os.environ.get("DYNFACE_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="*", help="clean clips; without any those of the data")
    parser.add_argument("--out", type=Path, default=Path("runs/damage"))
    parser.add_argument("--frames", type=int, default=24, help="of each clip, from its start; 0 takes all")
    parser.add_argument("--crop", type=int, default=256, help="side of the aligned face in the clips, pixels")
    parser.add_argument("--strength", default="mild", choices=["none", *DAMAGES], help="of the codec after the damage")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--config", type=Path, help="YAML file over the preset")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    options = parser.parse_args()
    options.clips = options.clips or sorted((data / "videos").glob("clean_*.mp4"))
    return options


def _run(options: argparse.Namespace) -> None:
    if not options.clips:
        raise InputError("no clean clip: name some, or set DYNFACE_DATA to the folder of the data")
    settings = load_settings(options.preset, options.config, {"device": options.device})
    models, rows = load_models(settings), []
    options.out.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(options.clips):
        clip = load_clean_clip(path, models.detector, models.locator, frames=options.frames or None, crop=options.crop)
        rng = np.random.default_rng([options.seed, number])
        damaged = damage_clip(clip.frames, rng)
        coded = options.strength != "none"
        seen = through_codec(damaged.frames, DAMAGES[options.strength], rng) if coded else damaged.frames
        restored = restore_clip(seen, models, settings).frames
        rows.append(damage_errors(clip, damaged, seen, restored))
        logging.info("%s", rows[-1])
        write_rows(rows, options.out / "results.csv")
        together = np.concatenate([clip.frames, seen, restored], axis=2)
        write_clip(options.out / f"side_by_side_{clip.name}.mp4", together, crf=16, sound=None)
    (options.out / "table.md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    sys.exit(main())
