"""One run at a time works on a job, and looking at it disturbs nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dynface_video.errors import InputError
from dynface_video.jobs import lock
from dynface_video.jobs.lock import ATTEMPTS, is_locked, job_lock, lock_path

HOLDS = """
import sys, time
from pathlib import Path
from dynface_video.jobs.lock import job_lock
with job_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_two_runs_never_hold_a_job_together(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4.job"
    with job_lock(path):
        assert is_locked(path)
        with pytest.raises(InputError, match=r"another run is working on .*out\.mp4\.job"), job_lock(path):
            pass
    assert not is_locked(path) and list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_its_holder_has_just_deleted_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, taken = tmp_path / "out.mp4.job", lock.lock_descriptor, list[bool]()

    def just_ended(descriptor: int, *, blocking: bool) -> bool:
        """The run that held the lock ends right before this one gets it."""
        if not taken:
            lock_path(path).unlink()
        taken.append(real(descriptor, blocking=blocking))
        return taken[-1]

    monkeypatch.setattr(lock, "lock_descriptor", just_ended)
    with job_lock(path), pytest.raises(InputError, match="another run"), job_lock(path):
        pass
    assert taken == [True, True] + [False] * ATTEMPTS


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4.job"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert is_locked(path)
        holder.kill()
    assert lock_path(path).exists() and not is_locked(path)
    with job_lock(path):
        assert is_locked(path)


def test_a_status_query_does_not_keep_a_job_from_beginning(tmp_path: Path) -> None:
    path, queried = tmp_path / "film.mp4.job", threading.Event()

    def query() -> None:
        with open(lock_path(path), "w") as handle:
            assert lock.lock_descriptor(handle.fileno(), blocking=False)
            queried.set()
            time.sleep(0.04)

    watcher = threading.Thread(target=query)
    watcher.start()
    queried.wait()
    with job_lock(path):
        assert is_locked(path)
    watcher.join()


def test_another_status_query_is_not_taken_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, answers = tmp_path / "film.mp4.job", iter([False, False, True])
    lock_path(path).touch()
    monkeypatch.setattr(lock, "lock_descriptor", lambda descriptor, *, blocking: next(answers))
    assert not is_locked(path)


def test_where_the_file_system_knows_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock, "lock_descriptor", unsupported)
    with job_lock(tmp_path / "out.mp4.job"):
        assert not is_locked(tmp_path / "out.mp4.job")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write to .*nowhere"), job_lock(tmp_path / "nowhere" / "out.mp4.job"):
        pass
