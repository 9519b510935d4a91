"""Command line that the evaluations of whole clips share."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from dynface_video.errors import DynfaceError, InputError
from dynface_video.threads import network_threads


def clip_parser(description: str | None, out: Path) -> argparse.ArgumentParser:
    """Parser with the options of every evaluation of clips; `out` is the default output folder."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="*", help="clean clips; without any those of the data")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--frames", type=int, default=24, help="of each clip, from its start; 0 takes all")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--config", type=Path, help="YAML file over the preset")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the degradations")
    return parser


def run_on_clips(options: argparse.Namespace, run: Callable[[argparse.Namespace], None]) -> int:
    """Call `run` with options whose clips default to those of the data; 0 done, 2 unusable input."""
    data = Path(os.environ.get("DYNFACE_DATA", "../shared/data"))
    options.clips = options.clips or sorted((data / "videos").glob("clean_*.mp4"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        if not options.clips:
            raise InputError("no clean clip: name some, or set DYNFACE_DATA to the folder of the data")
        with network_threads(options.threads):
            run(options)
    except DynfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
