"""Plot the quality in a training's log against crops seen.

python scripts/plot_training.py runs/local/log.jsonl "rm_perceptual_512_*" "input_perceptual_512_*" -o curve.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dynface_video.errors import DynfaceError
from evaluation.training_curve import plot_training, read_log


def main() -> int:
    """Parse the command line and plot; 0 done, 2 unusable input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, help="log.jsonl of a training")
    parser.add_argument("columns", nargs="+", help="names of columns, or shell patterns of them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture")
    options = parser.parse_args()
    try:
        plot_training(read_log(options.log), options.columns, options.output)
    except DynfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
