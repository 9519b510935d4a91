"""What kind of source a path is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynface_video.config import InputSettings
from dynface_video.errors import InputError
from dynface_video.jobs.source import images_digest, is_stills, source_digest


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((8, 12, 3), 20 * number, np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("names", "images", "stills"),
    [
        (("f0001.png", "f0002.png", "f0003.png"), "auto", False),
        (("f0001.png", "f0002.png", "f0003.png"), "stills", True),
        (("mother.png", "father.png"), "auto", True),
        (("mother.png", "father.png"), "sequence", False),
    ],
)
def test_numbered_images_are_a_film_and_others_are_pictures(
    names: tuple[str, ...], images: str, stills: bool, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "folder", *names)
    assert is_stills(folder, InputSettings.model_validate({"images": images})) == stills


def test_a_file_is_a_picture_by_its_ending(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "folder", "a.png")
    assert is_stills(folder / "a.png", InputSettings())
    assert not is_stills(folder / "a.mp4", InputSettings())


def test_a_folder_of_folders_of_images_is_an_album_unless_a_sequence_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    frames = pictures(tmp_path / "album" / "1950", "f001.png", "f002.png")
    assert is_stills(tmp_path / "album", InputSettings()) and not is_stills(frames, InputSettings())
    with pytest.raises(InputError, match="is a folder without images"):
        is_stills(tmp_path / "album", InputSettings(images="sequence"))


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing"):
        is_stills(pictures(tmp_path / "nothing"), InputSettings())


def test_the_digest_of_a_folder_follows_names_and_contents_of_its_images(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "folder", "f1.png", "f2.png")
    before = source_digest(folder)
    (folder / "notes.txt").write_text("not an image")
    assert source_digest(folder) == before == images_digest([folder / "f1.png", folder / "f2.png"])
    assert images_digest([folder / "f2.png", folder / "f1.png"]) != before
    (folder / "f2.png").rename(folder / "f3.png")
    assert source_digest(folder) != before
    (folder / "f3.png").rename(folder / "f2.png")
    pictures(folder, "x.png", "f2.png")
    (folder / "x.png").unlink()
    assert source_digest(folder) == before
    Image.fromarray(np.full((8, 12, 3), 99, np.uint8)).save(folder / "f2.png")
    assert source_digest(folder) != before


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        images_digest([tmp_path / "gone.png"])
