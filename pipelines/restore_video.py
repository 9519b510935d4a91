"""Restore one video on the Ray cluster that this is submitted to.

ray job submit --address http://HEAD:8265 -- python pipelines/restore_video.py INPUT -o OUTPUT --workers 8

The arguments are those of `dynface-video restore`. The package must be installed on the nodes, and INPUT, OUTPUT and
the job's directory beside OUTPUT must lie where every node sees them under the same path.
"""

from __future__ import annotations

import sys

import ray

from dynface_video.cli import main as command_line


def main(arguments: list[str]) -> None:
    """Join the cluster, then do as the command line does; the workers are started on the connection made here."""
    if not {"-h", "--help"} & set(arguments):
        _join_cluster()
    command_line(["restore", *arguments])


def _join_cluster() -> None:
    try:
        ray.init(address="auto", log_to_driver=False)
    except ConnectionError as error:
        raise SystemExit(
            "error: there is no Ray cluster here; submit this with `ray job submit`, or use `dynface-video restore`"
        ) from error


if __name__ == "__main__":
    main(sys.argv[1:])
