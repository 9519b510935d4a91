"""What becomes of restored segments: which output, its names, and how it is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import OutputSettings
from dynface_video.errors import InputError
from dynface_video.jobs.output import ImageFolder, VideoFile, choose_output, image_names, is_folder, publish_folder
from dynface_video.media.io.probe import VideoInfo, probe


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    write_clip(tmp_path / "clip.mp4", (np.zeros((64, 96, 3), np.uint8) for _ in range(3)), crf=20, sound=None)
    return probe(tmp_path / "clip.mp4")


def test_a_name_with_an_ending_is_a_file_and_others_are_folders(info: VideoInfo, tmp_path: Path) -> None:
    video = choose_output(info, tmp_path / "out.mkv", OutputSettings())
    assert isinstance(video, VideoFile) and (video.info, video.target) == (info, tmp_path / "out.mkv")
    folder = choose_output(info, tmp_path / "out", OutputSettings(image_format="jpg"))
    assert isinstance(folder, ImageFolder) and folder.ending == ".jpg" and folder.encoding.codec == "ffv1"
    (tmp_path / "folder.mkv").mkdir()
    assert is_folder(tmp_path / "folder.mkv") and not is_folder(tmp_path / "file.mkv")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("out", {"codec": "libx264"}, "a codec or a mezzanine cannot be used"),
        ("out", {"mezzanine": True}, "a codec or a mezzanine cannot be used"),
        ("out.png", {}, "one image cannot hold all of"),
        ("out.mkv", {"mezzanine": True, "copy_untouched": True}, "use either --mezzanine or --copy-untouched"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(
    name: str, settings: dict[str, object], message: str, info: VideoInfo, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        choose_output(info, tmp_path / name, OutputSettings.model_validate(settings))


def test_a_mezzanine_keeps_segments_without_loss(info: VideoInfo, tmp_path: Path) -> None:
    output = choose_output(info, tmp_path / "out.mp4", OutputSettings(mezzanine=True, codec="libx264"))
    assert isinstance(output, VideoFile) and output.mezzanine is not None
    assert output.encoding.codec == "ffv1" and output.mezzanine.settings.codec == "libx264"


def test_images_keep_their_names_unless_their_format_cannot_be_written() -> None:
    files = [Path("a.JPG"), Path("b.tga"), Path("c.png")]
    assert image_names(files, None) == ["a.JPG", "b.png", "c.png"]
    assert image_names(files, ".webp") == ["a.webp", "b.webp", "c.webp"]
    with pytest.raises(InputError, match=r"two images would be written as a\.webp"):
        image_names([Path("a.jpg"), Path("a.png")], ".webp")


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_is_published_whole_and_keeps_what_was_in_its_place(there: bool, tmp_path: Path) -> None:
    made, target = tmp_path / "made", tmp_path / "target"
    made.mkdir()
    for name in ("a.png", "b.png"):
        (made / name).write_text("new")
    if there:
        target.mkdir()
        (target / "a.png").write_text("old")
        (target / "notes.txt").write_text("mine")
    publish_folder(made, target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a.png": "new", "b.png": "new"} | (
        {"notes.txt": "mine"} if there else {}
    )
    assert not made.exists()
