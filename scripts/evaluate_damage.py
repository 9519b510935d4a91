"""Evaluate how scratches, dust and stains are removed: clean clips damaged on purpose, restored by the whole pipeline.

python scripts/evaluate_damage.py --out runs/damage              # 24 frames of each clean clip of the data
python scripts/evaluate_damage.py CLIP.mp4 --frames 0 --crop 256 --strength mild

Each clip is cut around its face, damaged (lines that stay, and damage of single frames), coded if --strength says so,
and restored. Writes results.csv, table.md and clips side by side: clean, damaged, restored.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import load_settings
from dynface_video.passes.networks import load_models
from evaluation.clip_command import clip_parser, run_on_clips
from evaluation.clips import DAMAGES, load_clean_clip, through_codec
from evaluation.film_damage import damage_clip, damage_errors, markdown
from evaluation.report import write_rows
from evaluation.steadiness import restore_clip


def main() -> int:
    """Parse the command line, evaluate, write the files; 0 done, 2 unusable input."""
    parser = clip_parser(__doc__, Path("runs/damage"))
    parser.add_argument("--crop", type=int, default=256, help="side of the aligned face in the clips, pixels")
    parser.add_argument("--strength", default="mild", choices=["none", *DAMAGES], help="of the codec after the damage")
    return run_on_clips(parser.parse_args(), _run)


def _run(options: argparse.Namespace) -> None:
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
