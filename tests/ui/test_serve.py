"""The server as a process: it tells its address, answers, and ends on a signal with the queue kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import dynface_video

pytest.importorskip("gradio", reason="the page needs the extra ui")

ROOT = Path(dynface_video.__file__).parents[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    # A shell's background job is started with interrupts ignored; the tests may run in one.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from dynface_video.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, "ui", "--port", "0", "--folder", "work", "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = next(line for line in server.stderr if line.startswith("open "))
        with urllib.request.urlopen(said.split()[1]) as answer:
            assert answer.status == 200
        server.send_signal(number)
        _, rest = server.communicate(timeout=60)
    assert server.returncode == 128 + number and "the same command continues the queue" in rest
    assert "Traceback" not in rest
