"""Files of a folder that are not taken are named, each with what to do about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from dynface_video.api import restore_video
from dynface_video.errors import InputError
from dynface_video.media.io import images
from dynface_video.media.io.images import read_image
from dynface_video.media.io.sequence import image_files, unread_files, unread_subfolders
from identity import stand_in


def album(folder: Path) -> Path:
    folder.mkdir()
    for name in ("anna.jpg", "bert.png"):
        Image.fromarray(astronaut()[20:212, 100:356]).save(folder / name)
    return folder


@pytest.mark.parametrize("name", ["IMG_1.CR2", "x.nef", "x.jxl", "x.psd", "film.mov", "notes.txt", "without ending"])
def test_a_file_that_is_not_taken_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = album(tmp_path / "album")
    (source / name).write_bytes(b"something")
    (source / ".hidden").write_bytes(b"something")
    warnings = restore_video(source, tmp_path / "out").warnings
    (warning,) = [text for text in warnings if "not taken" in text]
    assert name in warning
    assert "hidden" not in warning
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["anna.jpg", "bert.png"]


def test_each_kind_is_named_once_with_its_remedy(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"IMG_{number}.NEF").write_bytes(b"raw")
    (tmp_path / "a.jxl").write_bytes(b"jxl")
    second, first = unread_files(tmp_path)
    assert "IMG_0.NEF, IMG_1.NEF, IMG_2.NEF" in first and "and 5 more" in first and "develop it" in first
    assert "a.jxl" in second and "JPEG XL" in second
    with pytest.raises(InputError, match="JPEG XL"):
        image_files(tmp_path)


@pytest.mark.parametrize(("name", "remedy"), [("a.cr2", "raw format"), ("a.jxl", "JPEG XL"), ("a.cin", "DPX")])
def test_a_single_one_is_an_error_with_the_remedy(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"something" * 30)
    with pytest.raises(InputError, match=remedy):
        restore_video(tmp_path / name, tmp_path / "out.png")


def test_heif_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    source = album(tmp_path / "album")
    picture = astronaut()[20:212, 100:356]
    pillow_heif.from_pillow(Image.fromarray(picture)).save(source / "IMG_0001.HEIC", quality=95)
    read = read_image(source / "IMG_0001.HEIC")
    assert np.abs(read.samples.astype(int) - picture).mean() < 6
    stand_in(monkeypatch.setattr, centre=None)
    result = restore_video(source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["IMG_0001.png", "anna.jpg", "bert.png"]
    assert not any("not taken" in warning for warning in result.warnings)


def test_heif_of_ten_bits_keeps_its_depth(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    ramp = np.repeat(np.linspace(0, 65535, 64 * 1024).reshape(64, 1024, 1), 3, axis=2).astype(np.uint16)
    heif = pillow_heif.from_bytes(mode="RGB;16", size=(1024, 64), data=ramp.tobytes())
    heif.save(tmp_path / "a.heic", quality=-1, chroma=444, matrix_coefficients=0)
    samples = read_image(tmp_path / "a.heic").samples
    assert samples.dtype == np.uint16
    assert len(np.unique(samples)) == 1024
    assert np.abs(samples.astype(int) - ramp).max() <= 65


def test_heif_without_the_extra_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_has_heif", lambda: False)
    source = album(tmp_path / "album")
    (source / "IMG_0001.HEIC").write_bytes(b"something")
    assert [path.name for path in image_files(source)] == ["anna.jpg", "bert.png"]
    (message,) = unread_files(source)
    assert "IMG_0001.HEIC" in message and "dynface-video[heif]" in message
    with pytest.raises(InputError, match=r"dynface-video\[heif\]"):
        read_image(source / "IMG_0001.HEIC")


def test_subfolders_of_a_sequence_are_named(tmp_path: Path) -> None:
    for name in ("reel 2/f1.png", "notes/plan.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert unread_subfolders(tmp_path) == [
        f"{tmp_path}: not taken: subfolders reel 2 (restore each sequence on its own)"
    ]
    assert unread_subfolders(tmp_path / "notes") == unread_subfolders(tmp_path / "reel 2" / "f1.png") == []
