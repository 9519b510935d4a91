"""What became of each picture of an album, with its subfolders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynface_video.config import Settings, load_settings
from dynface_video.errors import InputError
from dynface_video.jobs import stills
from dynface_video.jobs.album import PictureAccount, album_files
from dynface_video.jobs.stills import StillsJob, StillsResult
from dynface_video.jobs.task import RunOptions
from dynface_video.passes.face_account import FaceAccount
from identity import checkered, stand_in
from interrupted import interrupted_once


@pytest.fixture
def settings() -> Settings:
    return load_settings("mini", None, {"device": "cpu"})


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32), change=checkered)
    for name in ("album/b.png", "album/1950/a.jpg", "album/1950/summer/b.png", "album/.hidden/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((64, 96, 3), 120, np.uint8)).save(path)
    (tmp_path / "album" / "1950" / "notes.txt").touch()
    return tmp_path / "album"


def restore(album: Path, target: Path, settings: Settings) -> StillsResult:
    return StillsJob(album, target, settings, RunOptions(overwrite=True)).run()


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_subfolders_are_taken_and_every_picture_has_an_account(album: Path, tmp_path: Path, settings: Settings) -> None:
    (album / "1950" / "broken.png").write_bytes(b"no picture")
    result = restore(album, tmp_path / "out", settings)
    taken = ["1950/a.jpg", "1950/summer/b.png", "b.png"]
    assert files(tmp_path / "out") == taken
    assert {one.source: (one.status, one.output) for one in result.accounts} == {
        **{name: ("restored", name) for name in taken}, "1950/broken.png": ("unreadable", None),
    }  # fmt: skip
    (face,) = result.accounts[0].faces
    assert face.restored and face.centre == pytest.approx((48, 32), abs=2)
    assert any("notes.txt" in warning for warning in result.warnings)
    assert any("broken.png" in warning and "not in the output" in warning for warning in result.warnings)


def test_a_second_album_goes_into_the_folders_of_the_first(album: Path, tmp_path: Path, settings: Settings) -> None:
    restore(album, tmp_path / "out", settings)
    (album / "1950" / "a.jpg").rename(album / "1950" / "new.jpg")
    restore(album, tmp_path / "out", settings)
    assert files(tmp_path / "out") == ["1950/a.jpg", "1950/new.jpg", "1950/summer/b.png", "b.png"]


def test_an_output_within_the_album_is_no_part_of_it(album: Path, settings: Settings) -> None:
    for _ in range(2):
        restore(album, album / "restored", settings)
    assert files(album / "restored") == ["1950/a.jpg", "1950/summer/b.png", "b.png"]


def test_unchanged_is_said_only_of_the_same_bytes(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    kept = restore(album, tmp_path / "kept", load_settings("mini", None, {"device": "cpu"}))
    assert [(one.status, one.unchanged) for one in kept.accounts] == [("no_face", True)] * 3
    assert (tmp_path / "kept" / "b.png").read_bytes() == (album / "b.png").read_bytes()
    written = restore(album, tmp_path / "tif", load_settings("mini", None, {"device": "cpu", "image_format": "tif"}))
    assert [(one.status, one.unchanged) for one in written.accounts] == [("no_face", False)] * 3


def test_skipped_faces_have_their_reason_in_the_picture_s_account(album: Path, tmp_path: Path) -> None:
    result = restore(album, tmp_path / "out", load_settings("mini", None, {"device": "cpu", "minimum_size": 60}))
    assert {one.status for one in result.accounts} == {"skipped"}
    assert [face.reason.startswith("too small") for one in result.accounts for face in one.faces] == [True] * 3


def test_a_resumed_album_has_the_accounts_of_both_runs(
    album: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, _ = interrupted_once(stills.restore_still)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(stills, "restore_still", stopped)
        restore(album, tmp_path / "out", settings)
    result = restore(album, tmp_path / "out", settings)
    assert result.tracks == 3 and [one.status for one in result.accounts] == ["restored"] * 3


def test_an_account_is_read_as_it_was_written_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    account = PictureAccount("a.png", "a.png", "restored", (FaceAccount(0, 1, (1.5, 2.0), 30.0, True, track=0),))
    account.save(tmp_path / "below" / "a.json")
    assert PictureAccount.load(tmp_path / "below" / "a.json") == account
    (tmp_path / "below" / "a.json").write_text('{"source": "a.png"')
    assert PictureAccount.load(tmp_path / "below" / "a.json") is None


def test_an_album_without_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with pytest.raises(InputError, match="is a folder without images"):
        album_files(tmp_path, tmp_path / "out")
