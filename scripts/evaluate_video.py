"""Evaluate how well frames agree: clean clips degraded by a codec in three strengths, or anew in each frame.

python scripts/evaluate_video.py --out runs/video                       # 24 frames of each clean clip of the data
python scripts/evaluate_video.py --strengths shrunk coded --methods    # slight damage, measured and not restored
python scripts/evaluate_video.py CLIP.mp4 --frames 0 --methods "frame by frame" all --strengths medium fresh

Each clip is cut around its face, degraded (by a codec; or each frame by itself: of the clip, and of its first frame
standing still), and restored frame by frame, with each part of what makes frames agree alone (smoothed levels, smoothed
landmarks, shared noise, RM's window, drawing along the flow), and with all. Writes results.csv, table.md and
side_by_side_*.mp4.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import Settings, load_settings
from dynface_video.models.restoration import RestorationModel
from dynface_video.passes.networks import Models, load_models
from dynface_video.pretrained import load_pretrained
from evaluation.clip_command import clip_parser, run_on_clips
from evaluation.clips import load_clean_clip
from evaluation.report import write_rows
from evaluation.steadiness import (
    ALL,
    ALL_STRENGTHS,
    ALONE,
    METHODS,
    STRENGTHS,
    Row,
    degraded_clips,
    evaluate_clip,
)
from evaluation.video_report import markdown, side_by_side


def main() -> int:
    """Parse the command line, evaluate, write the files; 0 done, 2 unusable input."""
    parser = clip_parser(__doc__, Path("runs/video"))
    parser.add_argument("--crop", type=int, help="side of the aligned face; by default that of the models' crop")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--strengths", nargs="+", default=list(STRENGTHS), choices=ALL_STRENGTHS)
    parser.add_argument("--quantiser", type=int, help="of the codec, instead of the strengths' own")
    parser.add_argument("--restoration", type=Path, help="an exported RM instead of the preset's")
    return run_on_clips(parser.parse_args(), _run)


def _run(options: argparse.Namespace) -> None:
    settings = load_settings(options.preset, options.config, {"device": options.device})
    models, rows = _models(options, settings), list[Row]()
    size = options.crop or models.pipeline.resolution
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.clips:
        clip = load_clean_clip(path, models.detector, models.locator, frames=options.frames or None, crop=size)
        for strength, clean, degraded in degraded_clips(
            clip, options.strengths, options.seed, size, quantiser=options.quantiser
        ):
            measured, versions = evaluate_clip(
                clean, strength, degraded, models, settings, options.methods, logging.info, crop=size
            )
            rows += measured
            write_rows(rows, options.out / "results.csv")
            names = [name for name in ("clean", "input", ALONE, ALL) if name in versions]
            write_clip(
                options.out / f"side_by_side_{clip.name}_{strength}.mp4",
                side_by_side(versions, names),
                crf=16,
                sound=None,
            )
    table = markdown(rows)
    (options.out / "table.md").write_text(table)
    print(table)


def _models(options: argparse.Namespace, settings: Settings) -> Models:
    models = load_models(settings)
    if options.restoration is None:
        return models
    pipeline = models.pipeline
    model = load_pretrained(RestorationModel, options.restoration, pipeline.device)
    stages = (replace(pipeline.stages[0], restoration=model), *pipeline.stages[1:])
    return replace(models, pipeline=replace(pipeline, stages=stages))


if __name__ == "__main__":
    sys.exit(main())
