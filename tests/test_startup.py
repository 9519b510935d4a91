"""What is imported before it is needed makes every command wait; a clock would measure the machine's other work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynface_video.jobs.directory import JobDirectory
from dynface_video.jobs.plan import Plan

ROOT = Path(__file__).parents[1]
SLOW = ("torch", "torchvision", "diffusers", "cv2", "av", "numpy", "scipy", "ray", "scenedetect", "facexlib", "gradio")
"""Libraries that nothing but work on a video needs."""
UNNEEDED = ("diffusers", "torchvision", "torch._dynamo", "facexlib", "scenedetect", "scipy.ndimage", "scipy.optimize")
"""What finding no face in a video takes no part of, or takes part of only when frames come."""
TINY = """
import av
import numpy as np
with av.open("in.mkv", "w") as file:
    stream = file.add_stream("ffv1", rate=25, options={})
    stream.width = stream.height = 64
    for number in range(3):
        picture = np.full((64, 64, 3), 40 * number, np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")))
    file.mux(stream.encode())
"""


def imported_by(program: str, folder: Path = ROOT) -> set[str]:
    """Modules in the memory of a process that has run a program in a folder, packages and submodules."""
    ended = f"try:\n    exec({program!r})\nexcept SystemExit as end:\n    assert not end.code\n"
    ended += "import sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", ended], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {line for line in done.stderr.splitlines() if " " not in line}


def command(*words: str) -> str:
    return f"from dynface_video.cli.main import main; main({list(words)})"


@pytest.mark.parametrize(
    "words",
    [("--version",), ("models", "list"), ("settings",), ("status", "out.mkv")],
)
def test_commands_that_only_tell_something_import_no_slow_library(words: tuple[str, ...], tmp_path: Path) -> None:
    job = JobDirectory.open(tmp_path / "out.mkv.job", Plan("film.mp4", "aa", {}, "mm", "0.1.0"))
    job.state_path.write_text('{"stage": "restore", "frames": 100, "frames_done": 20, "output": "out.mkv"}')
    assert not imported_by(command(*words), tmp_path) & {*SLOW}


def test_before_a_video_is_opened_little_more_than_torch_is_imported() -> None:
    assert not imported_by("import dynface_video.api") & {*UNNEEDED, "ray", "gradio"}


def test_a_video_without_faces_needs_no_prior(tmp_path: Path) -> None:
    restore = "import dynface_video; dynface_video.restore_video('in.mkv', 'out.mkv', device='cpu', codec='ffv1')"
    assert not imported_by(TINY + restore, tmp_path) & {"diffusers", "torchvision", "torch._dynamo", "ray"}
    assert (tmp_path / "out.mkv").is_file()
