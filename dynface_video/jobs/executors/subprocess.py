"""Execution in a subprocess of a call that has killed its worker before.

`multiprocessing` is not used: it imports the caller's script in the new process, and a script that simply calls
`restore_video` would start the job again in there.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

from dynface_video.jobs.executors.base import LOST, Call, Failure, Performer
from dynface_video.jobs.failures import failure_of


def run_in_subprocess(performer: Performer, call: Call) -> Any:
    """Execute a call in a new process.

    Args:
        performer: Executes the calls of the video.
        call: The call.

    Returns:
        The call's value, or a `Failure`, also if the process dies.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # In a process group of its own: a terminal sends Ctrl-C to the whole foreground group, and the call must finish.
    done = subprocess.run(
        [sys.executable, "-m", "dynface_video.jobs.executors.subprocess"],
        input=pickle.dumps((performer, call)),
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0,
        check=False,
    )
    if done.returncode:
        return Failure(LOST, "its process died")
    return pickle.loads(done.stdout)


def main() -> None:
    """Run in the new process: read performer and call from standard input, write the result to standard output."""
    # Anything else that is printed must not mix with the bytes of the result.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    performer, call = pickle.load(sys.stdin.buffer)
    try:
        value = performer.perform(call, {}, lambda done: None)
    except Exception as error:  # of any kind: it fails one segment, not the job
        value = failure_of(error)
    with answer:
        pickle.dump(value, answer)


if __name__ == "__main__":
    main()
