"""Evaluate restoration on clean faces: degrade them in three strengths with fixed seeds, restore, measure.

python scripts/evaluate.py ../shared/data/faces_eval -o runs/evaluation --plots
python scripts/evaluate.py FOLDER_OR_TAR -o OUT --limit 12 --methods degraded,rm,full --strength 0.25,0.75
python scripts/evaluate.py ../shared/data/faces_train --held-out modern_512 -o OUT --resolution 512 --limit 24 \\
    --methods degraded,product --strength 1   # to choose settings; faces_eval is for final figures only
"""

from __future__ import annotations

import typer

from evaluation.command import evaluate

if __name__ == "__main__":
    typer.run(evaluate)
