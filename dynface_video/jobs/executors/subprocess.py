"""A call in a process of its own, for one that has taken a process down before.

Not by `multiprocessing`: that imports the caller's script in the new process, and a script that simply calls
`restore_video` would begin the job anew in there.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

from dynface_video.jobs.executors.base import LOST, Call, Failure, Performer
from dynface_video.jobs.failures import failure_of


def perform_apart(performer: Performer, call: Call) -> Any:
    """Do a call in a new process; returns what it gives, or a `Failure`, also when the process dies."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # In a group of its own: a terminal sends Ctrl-C to all of the foreground's, and what runs is to be finished.
    done = subprocess.run(
        [sys.executable, "-m", "dynface_video.jobs.executors.subprocess"],
        input=pickle.dumps((performer, call)),
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0,
        check=False,
    )
    if done.returncode:
        return Failure(LOST, "the process that worked on it died")
    return pickle.loads(done.stdout)


def main() -> None:
    """What the new process does: read performer and call from standard input, write what they give to the output."""
    # Whatever else is printed must not get between the bytes of the answer.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    performer, call = pickle.load(sys.stdin.buffer)
    try:
        value = performer.perform(call, {}, lambda done: None)
    except Exception as error:  # whatever it is, it is one segment's failure and not the job's
        value = failure_of(error)
    with answer:
        pickle.dump(value, answer)


if __name__ == "__main__":
    main()
