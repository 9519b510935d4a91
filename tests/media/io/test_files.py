"""Files and folders that appear when they are complete, and names beside a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynface_video.media.io.files import MAX_NAME, complete_folder, named_beside


def test_a_folder_replaces_another_only_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError, match="half"), complete_folder(folder) as partial:
        partial.mkdir()
        raise RuntimeError("half of it")
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "old"]
    with complete_folder(folder) as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "new"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(FileNotFoundError), complete_folder(folder):
        pass  # nothing was written
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "old"]


def test_a_long_name_is_cut_and_stays_distinct(tmp_path: Path) -> None:
    assert named_beside(tmp_path / "a.mkv", ".job") == tmp_path / "a.mkv.job"
    names = {named_beside(tmp_path / f"{'é' * 124}{end}.mkv", ".job").name for end in "ab"}
    assert len(names) == 2 and all(len(name.encode()) <= MAX_NAME and name.endswith(".job") for name in names)
