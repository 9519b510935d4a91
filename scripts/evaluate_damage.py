"""Evaluate how scratches, dust and stains are removed: clean clips damaged on purpose, restored by the whole pipeline.

python scripts/evaluate_damage.py --out runs/damage              # 24 frames of each clean clip of the data
python scripts/evaluate_damage.py CLIP.mp4 --frames 0 --crop 256 --strength mild
python scripts/evaluate_damage.py --undamaged                    # what it costs where there is no damage

Each clip is cut around its face, damaged (lines that stay, and damage of single frames), coded if --strength says so,
repaired by damage removal alone, and restored by the whole pipeline. Writes results.csv, table.md and clips side by
side: clean, damaged, repaired, restored.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import changed_settings, load_settings
from dynface_video.passes.networks import load_models
from evaluation.clip_command import clip_parser, run_on_clips
from evaluation.clips import DAMAGES, load_clean_clip, through_codec
from evaluation.film_damage import (
    ALL,
    CLEAR,
    INPUT,
    REPAIRED,
    RESTORED,
    DamageError,
    UndamagedRow,
    damage_clip,
    damage_errors,
    markdown,
    undamaged_markdown,
    undamaged_row,
    without_networks,
)
from evaluation.report import write_rows
from evaluation.steadiness import restore_clip

ALONE = {"restoration": {"temporal_weight": 0.0}}
KEEPING = {"restoration": {"temporal_weight": 0.0, "remove_damage": False}}


def main() -> int:
    """Parse the command line, evaluate, write the files; 0 done, 2 unusable input."""
    parser = clip_parser(__doc__, Path("runs/damage"))
    parser.add_argument("--crop", type=int, default=256, help="side of the aligned face in the clips, pixels")
    parser.add_argument("--strength", default="mild", choices=["none", *DAMAGES], help="of the codec after the damage")
    parser.add_argument("--undamaged", action="store_true", help="leave the damage out and the networks, too")
    parser.add_argument("--repair-only", action="store_true", help="leave out the networks; restored is repaired")
    return run_on_clips(parser.parse_args(), _run)


def _run(options: argparse.Namespace) -> None:
    settings = load_settings(options.preset, options.config, {"device": options.device, "remove_damage": True})
    models = load_models(settings)
    repairing = replace(models, pipeline=without_networks(models.pipeline))
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[DamageError] = []
    undamaged: list[UndamagedRow] = []
    for number, path in enumerate(options.clips):
        clip = load_clean_clip(path, models.detector, models.locator, frames=options.frames or None, crop=options.crop)
        rng = np.random.default_rng([options.seed, number])
        if options.undamaged:
            seen = _coded(clip.frames, options.strength, rng)
            kept = restore_clip(seen, repairing, changed_settings(settings, KEEPING)).frames
            undamaged.append(
                undamaged_row(clip, kept, restore_clip(seen, repairing, changed_settings(settings, ALONE)).frames)
            )
            logging.info("%s", undamaged[-1])
            write_rows(undamaged, options.out / "undamaged.csv")
            continue
        damaged = damage_clip(clip.frames, rng)
        seen = _coded(damaged.frames, options.strength, rng)
        repaired = restore_clip(seen, repairing, changed_settings(settings, ALONE)).frames
        restored = repaired if options.repair_only else restore_clip(seen, models, settings).frames
        rows += damage_errors(clip, damaged, {INPUT: seen, REPAIRED: repaired, RESTORED: restored})
        logging.info("%s", [row for row in rows if row.clip == clip.name and row.kind in (ALL, CLEAR)])
        write_rows(rows, options.out / "results.csv")
        together = np.concatenate([clip.frames, seen, repaired, restored], axis=2)
        write_clip(options.out / f"side_by_side_{clip.name}.mp4", together, crf=16, sound=None)
    text = undamaged_markdown(undamaged) if options.undamaged else markdown(rows)
    (options.out / ("undamaged.md" if options.undamaged else "table.md")).write_text(text)
    print(text)


def _coded(frames: np.ndarray, strength: str, rng: np.random.Generator) -> np.ndarray:
    return frames if strength == "none" else through_codec(frames, DAMAGES[strength], rng)


if __name__ == "__main__":
    sys.exit(main())
