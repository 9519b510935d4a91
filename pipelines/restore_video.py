"""Restore one video on the Ray cluster that this is submitted to.

ray job submit --address http://HEAD:8265 -- python pipelines/restore_video.py INPUT -o OUTPUT --workers auto

The arguments are those of `dynface-video restore`. The package must be installed on all nodes, and all nodes must see
INPUT, OUTPUT and the job's directory beside OUTPUT under the same paths. The embedded models are part of the package.
"""

from __future__ import annotations

import sys

from dynface_video.cli.main import main as command_line


def main(arguments: list[str]) -> None:
    """Run the command `restore` on the cluster that the job runs on.

    Args:
        arguments: Of the command; `--address auto` is added unless an address is given.
    """
    given = any(argument.partition("=")[0] == "--address" for argument in arguments)
    command_line(["restore", *arguments, *([] if given else ["--address", "auto"])])


if __name__ == "__main__":
    main(sys.argv[1:])
