"""One video from its paths to its output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynface_video.api import restore_batch, restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.errors import InputError
from dynface_video.jobs.status import read_status
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


@pytest.mark.parametrize(
    "stem", ["x" * 242, "x" * 251, "漢" * 83], ids=["246 bytes", "255 bytes", "253 bytes, Chinese"]
)
def test_an_output_may_have_the_longest_name_that_a_file_can_have(
    stem: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, found = tmp_path / f"{stem}.mp4", list[str]()
    restore_video(
        clip, target, device="cpu", progress=lambda *_: found.append(read_status(target)["jobs"][0]["output"])
    )
    assert target.stat().st_size > 0 and set(found) == {str(target)}
    assert sorted(tmp_path.iterdir()) == sorted([clip, target])
    assert restore_batch([target], tmp_path / "again", device="cpu").count("done") == 1


def test_a_name_that_is_too_long_is_refused_at_once(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name has 256 bytes, more than the 255"):
        restore_video(clip, tmp_path / f"{'x' * 252}.mp4", device="cpu")


def test_a_source_with_an_impossible_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"xxx\.mp4 cannot be read \(File name too long\)"):
        restore_video(tmp_path / f"{'x' * 300}.mp4", tmp_path / "out.mp4", device="cpu")


def test_a_device_is_no_output(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/dev/null is a device"):
        restore_video(clip, "/dev/null", device="cpu", overwrite=True)
    with pytest.raises(InputError, match="/dev/null is not a folder"):
        restore_batch([clip], "/dev/null", device="cpu")
    assert Path("/dev/null").is_char_device()
