"""A whole process that is asked to stop, or has no disk left, with stand-ins for the networks."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.errors import DiskFullError, Interrupted
from dynface_video.jobs import worker
from dynface_video.jobs.signals import handled_signals
from identity import stand_in

ROOT = Path(__file__).parents[2]
LONGEST = 300
"""Seconds that a process may take on a machine with much else to do."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(40))
    write_clip(tmp_path / "clip.mp4", pictures, crf=20, sound=None)
    (tmp_path / "out.yaml").write_text("output:\n  segment_frames: 4\n")
    return tmp_path / "clip.mp4"


def finished(folder: Path) -> list[str]:
    return [path.name for path in (folder / "out.mp4.job" / "segments").glob("[0-9]*.json")]


def test_a_request_to_stop_is_answered_at_once_with_what_is_finished_first(caplog: pytest.LogCaptureFixture) -> None:
    with handled_signals() as stop:
        stop.finishing = lambda: "frames 120 to 239"
        os.kill(os.getpid(), signal.SIGTERM)
    assert caplog.messages == ["stopping after frames 120 to 239, to be kept like everything finished"]


def test_signals_ask_first_and_interrupt_the_second_time() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with handled_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(Interrupted):
            stop._handle(signal.SIGINT, None)
    assert signal.getsignal(signal.SIGTERM) == before
    seen: list[bool] = []

    def elsewhere() -> None:
        with handled_signals() as other:
            seen.append(other.requested)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_finishes_the_segment_and_the_next_run_does_the_rest(
    number: signal.Signals, clip: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "computed.txt"
    environment = os.environ | {
        "FAULT_NOTES": str(notes),
        "FAULT_SUPPORT": str(ROOT / "tests" / "support"),
        "FAULT_PAUSE": "0.3",
        "PYTHONPATH": str(ROOT),
    }
    script = str(ROOT / "scripts" / "fault_injection.py")
    # A shell's background job is started with interrupts ignored; the tests may run in one.
    program = (
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"sys.argv = [{script!r}, '--drive', {str(clip)!r}, {str(tmp_path / 'out.mp4')!r}]; "
        f"sys.path.insert(0, {str(ROOT / 'scripts')!r}); runpy.run_path({script!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        until = time.monotonic() + LONGEST
        while len(finished(tmp_path)) < 2 and time.monotonic() < until and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(number)
        _, said = running.communicate(timeout=LONGEST)
    done = len(finished(tmp_path))
    assert running.returncode != 0 and "Interrupted" in said and 2 <= done < 10
    again = "; Ctrl-C again stops now" if number == signal.SIGINT else ""
    assert re.search(rf"stopping after frames \d+ to \d+, to be kept like everything finished{again}", said)
    segments = [path.name for path in (tmp_path / "out.mp4.job" / "segments").iterdir()]
    assert len(segments) == 2 * done and not (tmp_path / "out.mp4").exists()
    subprocess.run(command, env=environment, check=True, timeout=LONGEST)
    computed = notes.read_text().split()
    assert len(computed) == len(set(computed)) == 10
    assert (tmp_path / "out.mp4").exists() and not (tmp_path / "out.mp4.job").exists()


def test_a_full_disk_says_how_much_is_needed_and_the_rest_is_done_later(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    real, written = worker.write_segment, list[Path]()

    def full(path: Path, *arguments: object) -> int:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return real(path, *arguments)  # type: ignore[arg-type]

    options = {"config": tmp_path / "out.yaml", "device": "cpu"}
    with monkeypatch.context() as patched:
        patched.setattr(worker, "write_segment", full)
        with pytest.raises(DiskFullError, match=r"is full; free some space.*About \d+ MB more are needed"):
            restore_video(clip, tmp_path / "out.mp4", **options)  # type: ignore[arg-type]
    assert len(finished(tmp_path)) == 3
    restore_video(clip, tmp_path / "out.mp4", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out.mp4.job").exists()


RESTORES = """
import os, signal
from dynface_video.api import restore_video
from dynface_video.jobs.worker import SegmentWorker

real = SegmentWorker.run

def run(worker, segment, on_frame):
    if segment.number == 2 and {deadly!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(worker, segment, on_frame)

SegmentWorker.run = run
restore_video("clip.mp4", "out.mp4", config="out.yaml", device="cpu")
"""


def test_a_script_that_was_killed_goes_on_and_does_the_fatal_segment_apart(clip: Path, tmp_path: Path) -> None:
    """The script is one as the README shows: what it says happens wherever it is imported."""
    (tmp_path / "script.py").write_text(RESTORES.format(deadly=True))
    command, environment = [sys.executable, "script.py"], os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, cwd=tmp_path, env=environment, check=False, timeout=LONGEST)
    assert killed.returncode == -signal.SIGKILL and len(finished(tmp_path)) == 2
    # Here segment 2 would kill the script again; another process does it.
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=LONGEST)
    assert (tmp_path / "out.mp4").exists() and not (tmp_path / "out.mp4.job").exists()
