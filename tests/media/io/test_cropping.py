"""What a container crops is cropped: hidden borders do not come back, and no face is looked for in them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from skimage.data import astronaut

from container_crops import crop_matroska, crop_mp4
from dynface_video.api import restore_video
from dynface_video.media.io.cropping import NO_CROP, Crop
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.encoding import choose_encoding
from dynface_video.media.output.stream_copy import unsupported_reason
from identity import checkered, stand_in

SIZE = (160, 120)
SECRET = (250, 20, 240)


def bordered(path: Path, *, step: int = 20) -> Path:
    """Pictures of 128x96 inside borders of a colour that nobody shall see: 20 left, 12 right, 14 above, 10 below.

    step: by how much their grey changes; 0 for a photograph that stands still
    """
    options = {"live": "1"} if path.suffix == ".mkv" else {}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "crf": "5"}
        for number in range(5):
            rgb = np.full((SIZE[1], SIZE[0], 3), SECRET, np.uint8)
            rgb[14:110, 20:148] = 60 + step * number if step else astronaut()[80:176, 160:288]
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def cropped(kit, name: str, *, step: int = 20) -> Path:
    path = bordered(kit.folder / name, step=step)
    if name.endswith("mkv"):
        return crop_matroska(path, left=20, right=12, top=14, bottom=10)
    # The middle of what is shown lies 4 pixels right of and 2 below that of the picture.
    return crop_mp4(path, 128, 96, across=8, down=4)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_only_what_is_shown_is_read(kit, name: str) -> None:
    info = probe(cropped(kit, name))
    assert info.crop == Crop(20, 14, 12, 10)
    assert (info.width, info.height) == (128, 96) == (info.display.width, info.display.height)
    assert info.coded_size == SIZE
    assert info.sample_aspect_ratio == 1
    for number, frame in enumerate(read_frames(info)):
        # At its edge, encoding has mixed the border in.
        assert abs(frame.rgb()[4:-4, 4:-4].astype(int) - (60 + 20 * number)).max() < 6


@pytest.mark.parametrize("source", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_hidden_borders_are_in_no_output(kit, source: str, target: str) -> None:
    passed = kit.through(cropped(kit, source), kit.folder / target)
    with av.open(str(passed.target)) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert {picture.shape for picture in pictures} == {(96, 128, 3)}
    assert max(abs(picture[4:-4, 4:-4, 0] - picture[4:-4, 4:-4, 1]).max() for picture in pictures) < 6
    assert max(abs(picture[..., 0] - picture[..., 1]).max() for picture in pictures) < 60
    assert not passed.warnings


def test_an_odd_crop_hides_at_least_as_much(kit) -> None:
    info = probe(crop_matroska(bordered(kit.folder / "a.mkv"), left=19, top=13, right=13, bottom=11))
    assert info.crop == Crop(20, 14, 13, 11)


def test_a_face_is_restored_in_what_is_shown(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=(64.0, 48.0), change=checkered)
    source = cropped(kit, "a.mkv", step=0)
    assert restore_video(source, kit.folder / "out.mkv").faces == 5
    before, after = (next(read_frames(probe(path))).rgb().astype(int) for path in (source, kit.folder / "out.mkv"))
    changed = np.abs(after - before).max(axis=2)
    assert changed[40:56, 56:72].mean() > 5 * max(changed[:6].mean(), 0.5)


def test_a_crop_is_a_reason_not_to_copy(kit) -> None:
    info = probe(cropped(kit, "a.mkv"))
    assert "crops" in str(unsupported_reason(info, choose_encoding(info, kit.folder / "o.mkv")))


def test_a_crop_that_cannot_be_is_ignored(kit) -> None:
    assert probe(crop_mp4(bordered(kit.folder / "a.mp4"), 400, 300)).crop == NO_CROP
    assert probe(bordered(kit.folder / "b.mp4")).crop == NO_CROP
