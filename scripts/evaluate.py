"""Evaluate restoration on clean faces: degrade them in three strengths with fixed seeds, restore, measure.

python scripts/evaluate.py ../shared/data/faces_eval --out runs/evaluation
python scripts/evaluate.py FOLDER_OR_TAR --limit 12 --methods degraded lanczos rm full --strength 0.25 0.5 0.75

Writes results.csv (a row for each method, strength and face), table.md and contact_sheet.png.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import cv2

from dynface_video.errors import DynfaceError
from dynface_video.evaluation.contact_sheet import contact_sheet
from dynface_video.evaluation.faces import degrade_faces, load_clean_faces
from dynface_video.evaluation.measure import Evaluation, evaluate
from dynface_video.evaluation.methods import ALL_METHODS, METHODS, VARIANTS, Restorer, full_name, make_methods
from dynface_video.evaluation.report import best_classical, markdown, write_csv
from dynface_video.training.degradation import STRENGTHS

LEARNED = {"rm", "full", *VARIANTS}


def main() -> int:
    """Parse the command line, evaluate, write the three files; 0 done, 2 unusable input."""
    options = _parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _run(options)
    except DynfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parse() -> argparse.Namespace:
    data = Path(os.environ.get("DYNFACE_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="?", default=data / "faces_eval", help="folder or tar of clean faces")
    parser.add_argument("--out", type=Path, default=Path("runs/evaluation"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=ALL_METHODS)
    parser.add_argument("--strength", type=float, nargs="+", default=[], help="of the full method, besides its default")
    parser.add_argument("--fixed-step", type=int, nargs="+", default=[], help="starting steps in place of the table")
    parser.add_argument("--guidance-scale", type=float, nargs="+", default=[], help="global ones in place of the map")
    parser.add_argument("--limit", type=int, help="that many faces, spread evenly over all")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resolution", type=int, help="of the crops, where no learned method says it (default 128)")
    parser.add_argument("--seed", type=int, default=0, help="of the degradations")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> None:
    needs_models = LEARNED & set(options.methods) or options.fixed_step or options.guidance_scale
    restorer = _load_restorer(options) if needs_models else None
    size = restorer.resolution if restorer else options.resolution or 128
    clean = load_clean_faces(options.faces, size, limit=options.limit)
    faces = {strength: degrade_faces(clean, strength, seed=options.seed) for strength in STRENGTHS}
    strengths = sorted({*options.strength, restorer.strength}) if restorer else []
    evaluation = evaluate(
        faces,
        make_methods(
            options.methods,
            restorer,
            strengths=strengths,
            fixed_steps=options.fixed_step,
            scales=options.guidance_scale,
        ),
        progress=logging.info,
    )

    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(evaluation, options.out / "results.csv")
    table = markdown(evaluation, default_strength=restorer.strength if restorer else None)
    (options.out / "table.md").write_text(table)
    columns = {strength: _columns(evaluation, strength, restorer) for strength in STRENGTHS}
    cv2.imwrite(str(options.out / "contact_sheet.png"), contact_sheet(evaluation, columns)[:, :, ::-1])
    print(table)


def _load_restorer(options: argparse.Namespace) -> Restorer:
    from dynface_video.restorer import FaceRestorer

    return FaceRestorer.from_preset(options.preset, device=options.device)


def _columns(evaluation: Evaluation, strength: str, restorer: Restorer | None) -> dict[str, str]:
    """Heading -> method of the contact sheet: what was measured of degraded, best classical, RM, full."""
    wanted = {"degraded": "degraded"}
    classical = best_classical(evaluation, strength)
    if classical:
        wanted[classical] = classical
    if restorer:
        wanted |= {"rm": "rm", full_name(restorer.strength): full_name(restorer.strength)}
    return {heading: method for heading, method in wanted.items() if method in evaluation.methods}


if __name__ == "__main__":
    sys.exit(main())
