"""The page about custom models is run as it is written: other networks at other resolutions restore a clip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.cli.demo_clip import clean_frame, photograph

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "custom-models.md"
FRAMES = 5


def read(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's programs, a clip with a face whose crop covers more than 96 pixels, and a configuration."""
    for block in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        (tmp_path / block[0]).write_text(block[1])
    (tmp_path / "my_config.yaml").write_text(
        "models: my_folder\ndetection: {minimum_length: 1}\nrestoration: {temporal_radius: 1}\noutput: {codec: ffv1}\n"
    )
    frames = [clean_frame(photograph(), number) for number in range(FRAMES)]
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return tmp_path


def test_the_page_s_models_restore_a_clip(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    printed = ""
    for program in ("make_folder.py", "use_it.py"):
        done = subprocess.run(
            [sys.executable, program], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    assert printed.strip() == "[96, 192]"
    before, after = read(folder / "clip.mkv"), read(folder / "restored.mkv")
    assert before.shape == after.shape and len(after) == FRAMES
    assert (before != after).any(axis=(1, 2, 3)).all()
