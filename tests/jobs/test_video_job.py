"""One video from its paths to its output."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dynface_video.api import restore_batch, restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import load_settings
from dynface_video.errors import InputError, ModelError
from dynface_video.jobs.status import read_status
from dynface_video.jobs.video_job import describe_plan
from dynface_video.record.archive import record_path
from identity import stand_in
from model_files import CONTENT, OwnMachine, put_in_place

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
    assert sorted(tmp_path.iterdir()) == sorted([clip, target, record_path(target)])
    assert restore_batch([target], tmp_path / "again", device="cpu").count("done") == 1


def test_a_name_that_is_too_long_is_refused_at_once(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name has 256 bytes, more than the 255"):
        restore_video(clip, tmp_path / f"{'x' * 252}.mp4", device="cpu")


def test_a_source_with_an_impossible_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"xxx\.mp4 cannot be read \(File name too long\)"):
        restore_video(tmp_path / f"{'x' * 300}.mp4", tmp_path / "out.mp4", device="cpu")


def test_a_missing_public_network_is_named_before_anything_is_done(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OwnMachine(tmp_path / "machine", monkeypatch)
    with pytest.raises(ModelError, match="get it with `dynface-video models fetch retinaface-r50`"):
        restore_video(clip, tmp_path / "out.mp4", device="cpu", detector="retinaface-r50")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "machine"]
    batch = restore_batch([clip], tmp_path / "out", device="cpu", detector="retinaface-r50")
    assert "dynface-video models fetch retinaface-r50" in str(batch.videos[0].error)


def test_public_networks_are_part_of_the_plan_and_named_in_the_result(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = OwnMachine(tmp_path / "machine", monkeypatch)
    machine.declare("retinaface-r50")
    put_in_place("retinaface-r50")
    result = restore_video(clip, tmp_path / "out.mp4", device="cpu", detector="retinaface-r50")
    digest = hashlib.sha256(CONTENT).hexdigest()
    used = {"name": "retinaface-r50", "sha256": digest, "licence": "MIT", "commercial_use": True}
    assert result.models == (used,)
    assert restore_batch([clip], tmp_path / "b", device="cpu", detector="yunet").videos[0].as_dict()["models"] == []
    settings = load_settings("mini", None, {"detector": "retinaface-r50"})
    assert describe_plan(clip, "digest", settings, {}).settings["public_models"] == {"retinaface-r50": digest}
    assert "public_models" not in describe_plan(clip, "digest", load_settings("mini"), {}).settings


def test_a_device_is_no_output(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/dev/null is a device"):
        restore_video(clip, "/dev/null", device="cpu", overwrite=True)
    with pytest.raises(InputError, match="/dev/null is not a folder"):
        restore_batch([clip], "/dev/null", device="cpu")
    assert Path("/dev/null").is_char_device()
