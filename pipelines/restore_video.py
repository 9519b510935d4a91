"""Restore one video on the Ray cluster that this is submitted to.

ray job submit --address http://HEAD:8265 -- python pipelines/restore_video.py INPUT -o OUTPUT --workers 8

The arguments are those of `dynface-video restore`. The package must be installed on the nodes, and INPUT, OUTPUT and
the job's directory beside OUTPUT must lie where every node sees them under the same path. The embedded models are part
of the package: there is nothing to fetch.
"""

from __future__ import annotations

import sys

from dynface_video.cli.main import main as command_line


def main(arguments: list[str]) -> None:
    """Do as the command line does, on the cluster that the job runs on."""
    given = any(argument.partition("=")[0] == "--address" for argument in arguments)
    command_line(["restore", *arguments, *([] if given else ["--address", "auto"])])


if __name__ == "__main__":
    main(sys.argv[1:])
