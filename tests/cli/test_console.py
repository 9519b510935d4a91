from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dynface_video
from dynface_video.errors import InputError, JobError, ModelError
from fake_api import Command, FakeApi

ROOT = Path(dynface_video.__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("in.mkv does not exist; check its name"), 2),
        (ModelError("the weights are missing"), 1),
        (JobError("the disk is full"), 1),
        (RuntimeError("CUDA error: something\nlong"), 1),
    ],
)
def test_errors_are_one_line_and_an_exit_code(api: FakeApi, command: Command, error: Exception, code: int) -> None:
    api.error = error
    ended, out, err = command("restore", "in.mkv", "-o", "out.mkv", "--json")
    assert (ended, out) == (code, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert str(error).split("\n")[0] in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [JobError("the disk is full"), RuntimeError("odd")])
def test_verbose_shows_where_an_error_came_from(api: FakeApi, command: Command, error: Exception) -> None:
    api.error = error
    _, _, err = command("restore", "in.mkv", "-o", "out.mkv", "-v")
    assert "Traceback" in err and "fake_api.py" in err
    assert err.splitlines()[-1].startswith("error: ")


def test_an_interruption_says_how_to_resume(api: FakeApi, command: Command, tmp_path: Path) -> None:
    api.error = KeyboardInterrupt()
    target = tmp_path / "out.mkv"
    code, _, err = command("restore", "in.mkv", "-o", str(target))
    assert code == 130 and err.endswith("interrupted before anything was done\n")

    (tmp_path / "out.mkv.job").mkdir()
    code, out, err = command("restore", "in.mkv", "-o", str(target))
    assert (code, out) == (130, "")
    assert f"{target}.job: give the same command to resume" in err.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a signal")
def test_a_real_interrupt_ends_with_130(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time, types, dynface_video\n"
        # A shell's background job is started with interrupts ignored; the tests may run in one.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def restore_video(*a, progress, **k):\n"
        "    progress('analyze', 1, 9)\n"
        "    time.sleep(60)\n"
        "sys.modules['dynface_video.api'] = types.SimpleNamespace(restore_video=restore_video)\n"
        "from dynface_video.cli.main import main\n"
        "main(['restore', 'in.mkv', '-o', 'out.mkv'])\n"
    )
    (tmp_path / "out.mkv.job").mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert "analyze: 1 of 9 frames" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "out.mkv.job" in err and "Traceback" not in err
