"""Restore an archive of videos on the Ray cluster that this is submitted to.

ray job submit --address http://HEAD:8265 -- python pipelines/restore_archive.py FOLDER... -o DIR --workers 32

The arguments are those of `dynface-video batch`: videos, folders, and lists (CSV, JSONL) with options of their own.
What is done is skipped and what is unfinished goes on, so the same submission goes on after anything. The package must
be installed on the nodes, and sources and outputs must lie where every node sees them under the same path. The embedded
models are part of the package: there is nothing to fetch. Ends with 3 when part of it failed.
"""

from __future__ import annotations

import sys

from dynface_video.cli.main import main as command_line


def main(arguments: list[str]) -> None:
    """Do as the command line does, on the cluster that the job runs on."""
    given = any(argument.partition("=")[0] == "--address" for argument in arguments)
    command_line(["batch", *arguments, *([] if given else ["--address", "auto"])])


if __name__ == "__main__":
    main(sys.argv[1:])
