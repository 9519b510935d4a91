"""Evaluate restoration on clean faces: degrade them in three strengths with fixed seeds, restore, measure.

python scripts/evaluate.py ../shared/data/faces_eval -o runs/evaluation --plots
python scripts/evaluate.py FOLDER_OR_TAR -o OUT --limit 12 --methods degraded,rm,full --strength 0.25,0.75

The same as `dynface-video evaluate`, whose help lists the options.
"""

from __future__ import annotations

import sys

from dynface_video.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
