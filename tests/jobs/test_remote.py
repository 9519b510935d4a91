"""Inputs and outputs of other places, with fsspec's own local and in-memory file systems."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from PIL import Image

from dynface_video.api import restore_batch, restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.errors import InputError
from dynface_video.jobs.remote import as_given, download, local_name
from identity import stand_in


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(8))
    write_clip(tmp_path / "clip.mp4", pictures, crf=20, sound=None)
    return tmp_path / "clip.mp4"


def pictures(path: Path) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])


@pytest.mark.parametrize("place", ["memory://films", "file://{folder}/elsewhere"])
def test_a_video_of_another_place_is_restored_to_another_place(place: str, clip: Path, tmp_path: Path) -> None:
    root = place.format(folder=tmp_path)
    system, folder = fsspec.core.url_to_fs(root)
    system.makedirs(folder, exist_ok=True)
    system.put_file(str(clip), f"{folder}/in.mp4")
    work = tmp_path / "work"
    # Without loss: libx264's bytes of a picture this small are others about once in a hundred times.
    result = restore_video(f"{root}/in.mp4", f"{root}/out/done.mkv", device="cpu", work=work, codec="ffv1")
    assert (result.output, result.frames) == (f"{root}/out/done.mkv", 8)
    restore_video(clip, tmp_path / "here.mkv", device="cpu", codec="ffv1")
    system.get_file(f"{folder}/out/done.mkv", str(tmp_path / "there.mkv"))
    np.testing.assert_array_equal(pictures(tmp_path / "there.mkv"), pictures(tmp_path / "here.mkv"))
    names = sorted(Path(name).name for name in system.ls(f"{folder}/out", detail=False))
    assert names == ["done.mkv", "done.mkv.record.zip"]
    assert not local_name(f"{root}/out/done.mkv", work).exists()
    with pytest.raises(InputError, match="already exists"):
        restore_video(f"{root}/in.mp4", f"{root}/out/done.mkv", device="cpu", work=work)

    batch = restore_batch([f"{root}/in.mp4", f"{root}/none.mp4"], f"{root}/batch", device="cpu", work=work)
    assert [row.status for row in batch.videos] == ["done", "failed"]
    assert system.exists(f"{folder}/batch/in.mp4")
    again = restore_batch([f"{root}/in.mp4"], f"{root}/batch", device="cpu", work=work)
    assert again.count("skipped") == 1


def test_a_picture_of_another_place_is_restored_to_another_place(clip: Path, tmp_path: Path) -> None:
    system, picture = fsspec.filesystem("memory"), np.full((64, 96, 3), 128, np.uint8)
    with system.open("/pictures/in.png", "wb") as handle:
        Image.fromarray(picture).save(handle, "png")
    result = restore_video(
        "memory://pictures/in.png", "memory://pictures/out.png", device="cpu", work=tmp_path / "work"
    )
    assert (result.output, result.frames) == ("memory://pictures/out.png", 1)
    with system.open("/pictures/out.png", "rb") as handle:
        np.testing.assert_array_equal(np.asarray(Image.open(handle)), picture)


def test_what_is_here_is_not_fetched_again_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/again/a.bin", b"one")
    first = download("memory://again/a.bin", tmp_path)
    before = first.stat().st_mtime_ns
    assert download("memory://again/a.bin", tmp_path).stat().st_mtime_ns == before
    system.pipe_file("/again/a.bin", b"longer")
    assert download("memory://again/a.bin", tmp_path).read_bytes() == b"longer"
    with pytest.raises(InputError, match="memory://again/none cannot be downloaded"):
        download("memory://again/none", tmp_path)
    with pytest.raises(InputError, match="cannot be reached"):
        download("nosuchplace://x/y", tmp_path)


def test_a_missing_driver_is_named_by_the_extra_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    for name in ("http", "https"):
        with pytest.raises(InputError, match=re.escape('pip install "dynface-video[http]"')):
            download(f"{name}://example.org/film.mp4", tmp_path)


def test_an_output_that_cannot_be_uploaded_is_refused_before_the_work(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be uploaded by https"):
        restore_video(clip, "https://example.org/film.mp4", device="cpu", overwrite=True)
    batch = restore_batch([clip], "https://example.org/films", device="cpu", work=tmp_path / "work")
    assert batch.count("failed") == 1 and "cannot be uploaded by https" in (batch.videos[0].error or "")


def test_a_path_object_keeps_its_place() -> None:
    assert as_given(Path("s3://bucket/a b.mkv")) == "s3://bucket/a b.mkv"
    assert as_given(Path("/films/a.mkv")) == "/films/a.mkv"
