"""One video from its paths to its output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.errors import InputError
from identity import stand_in

FRAMES = 12


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(FRAMES))
    write_clip(tmp_path / "a.mp4", pictures, crf=20, sound=None)
    return tmp_path / "a.mp4"


def test_a_run_that_was_killed_after_publishing_is_cleared_away(clip: Path, tmp_path: Path) -> None:
    target, job = tmp_path / "out.mp4", tmp_path / "out.mp4.job"
    first = restore_video(clip, target, device="cpu")
    with pytest.raises(InputError, match="already exists"):
        restore_video(clip, target, device="cpu")
    job.mkdir()
    totals = {"frames": first.frames, "faces": first.faces, "tracks": 1, "unet_evaluations": 0, "computed": 1}
    (job / "complete.json").write_text(json.dumps(totals))
    again = restore_video(clip, target, device="cpu")
    assert (again.frames, again.faces) == (first.frames, first.faces) and not job.exists()
