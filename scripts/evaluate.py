"""Evaluate restoration on clean faces: degrade them in three strengths with fixed seeds, restore, measure.

python scripts/evaluate.py ../shared/data/faces_eval -o runs/evaluation --plots
python scripts/evaluate.py FOLDER_OR_TAR -o OUT --limit 12 --methods degraded,rm,full --strength 0.25,0.75
"""

from __future__ import annotations

import typer

from evaluation.command import evaluate

if __name__ == "__main__":
    typer.run(evaluate)
