"""A job of single pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynface_video.config import Settings, load_settings
from dynface_video.errors import InputError, JobError, ModelError
from dynface_video.jobs import stills
from dynface_video.jobs.stills import StillsJob
from dynface_video.jobs.task import RunOptions
from identity import stand_in
from interrupted import interrupted_once
from model_files import OwnMachine, put_in_place


@pytest.fixture
def settings() -> Settings:
    return load_settings("mini", None, {"device": "cpu"})


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    folder = tmp_path / "album"
    folder.mkdir()
    for number, name in enumerate(("mother.png", "father.jpg", "cat.png")):
        Image.fromarray(np.full((64, 96, 3), 60 * number + 60, np.uint8)).save(folder / name)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_becomes_a_folder_and_nothing_else_is_left(album: Path, tmp_path: Path, settings: Settings) -> None:
    shown = list[tuple[str, int, int | None]]()
    options = RunOptions(report=lambda stage, done, total: shown.append((stage, done, total)))
    result = StillsJob(album, tmp_path / "out", settings, options).run()
    assert (result.pictures, result.tracks, len(result.accounts), result.warnings) == (3, 3, 3, [])
    assert names(tmp_path / "out") == names(album) and names(tmp_path) == ["album", "out"]
    assert shown == [("restore", done, 3) for done in range(4)]


def test_public_networks_are_checked_and_named(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = OwnMachine(tmp_path / "machine", monkeypatch)
    settings = load_settings("mini", None, {"device": "cpu", "detector": "yunet"})
    with pytest.raises(ModelError, match="dynface-video models fetch yunet"):
        StillsJob(album, tmp_path / "out", settings, RunOptions())
    machine.declare("yunet")
    put_in_place("yunet")
    assert [model["name"] for model in StillsJob(album, tmp_path / "out", settings, RunOptions()).run().models] == [
        "yunet"
    ]


def test_an_interrupted_folder_is_resumed_and_a_restart_does_all_of_it(
    album: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, done = interrupted_once(stills.restore_still)
    for resume, pictures in ((True, ["cat.png", "father.jpg", "father.jpg", "mother.png"]),
                             (False, ["cat.png", "father.jpg", "cat.png", "father.jpg", "mother.png"])):  # fmt: skip
        done.clear()
        monkeypatch.setattr(stills, "restore_still", stopped)
        with pytest.raises(KeyboardInterrupt):
            StillsJob(album, tmp_path / "out", settings, RunOptions()).run()
        assert not (tmp_path / "out").exists()
        done_before = len(done)
        result = StillsJob(album, tmp_path / "out", settings, RunOptions(resume=resume)).run()
        assert result.pictures == 3 and done == pictures and done_before == 2
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        (tmp_path / "out").rmdir()


def test_other_settings_do_not_resume_a_job(
    album: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, _ = interrupted_once(stills.restore_still)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(stills, "restore_still", stopped)
        StillsJob(album, tmp_path / "out", settings, RunOptions()).run()
    stronger = load_settings("mini", None, {"device": "cpu", "strength": 0.9})
    with pytest.raises(JobError, match="strength"):
        StillsJob(album, tmp_path / "out", stronger, RunOptions()).run()


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_restored(
    album: Path, tmp_path: Path, settings: Settings
) -> None:
    (album / "broken.png").write_bytes(b"no picture")
    result = StillsJob(album, tmp_path / "out", settings, RunOptions()).run()
    assert result.pictures == 3 and "broken.png" not in names(tmp_path / "out")
    assert any("broken.png" in warning and "not in the output" in warning for warning in result.warnings)
    for path in album.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of its 4 images can be read"):
        StillsJob(album, tmp_path / "none", settings, RunOptions()).run()


def test_pictures_without_a_restored_face_come_with_one_warning_that_says_why(
    album: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    demanding = load_settings("mini", None, {"device": "cpu", "minimum_size": 60})
    result = StillsJob(album, tmp_path / "small", demanding, RunOptions()).run()
    assert result.skipped_faces == 3
    assert [w for w in result.warnings if "restored" in w] == ["no face was restored: 3 skipped (3 too small)"]
    stand_in(monkeypatch.setattr, centre=None)
    result = StillsJob(album, tmp_path / "empty", settings, RunOptions()).run()
    assert result.warnings == ["no face was found"]


def test_a_folder_does_not_become_a_file(album: Path, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(InputError, match="holds single pictures, which become a folder"):
        StillsJob(album, tmp_path / "out.png", settings, RunOptions())
    with pytest.raises(InputError, match="an image becomes a file ending in one of"):
        StillsJob(album / "cat.png", tmp_path / "out.mp4", settings, RunOptions())
