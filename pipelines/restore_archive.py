"""Restore an archive of videos on the Ray cluster that this is submitted to.

ray job submit --address http://HEAD:8265 -- python pipelines/restore_archive.py FOLDER... -o DIR --workers auto

The arguments are those of `dynface-video batch`: videos, folders, and lists (CSV, JSONL) with options for each video.
Existing outputs are skipped and unfinished jobs resumed, so the same submission continues after any interruption. The
package must be installed on all nodes, and all nodes must see sources and outputs under the same paths. The embedded
models are part of the package. Exits with 3 if some videos failed.
"""

from __future__ import annotations

import sys

from dynface_video.cli.main import main as command_line


def main(arguments: list[str]) -> None:
    """Run the command `batch` on the cluster that the job runs on.

    Args:
        arguments: Of the command; `--address auto` is added unless an address is given.
    """
    given = any(argument.partition("=")[0] == "--address" for argument in arguments)
    command_line(["batch", *arguments, *([] if given else ["--address", "auto"])])


if __name__ == "__main__":
    main(sys.argv[1:])
