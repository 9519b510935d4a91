"""What survives the whole of `restore_video`: a face is restored, by a stand-in that changes it a lot or not at all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.api import restore_video
from dynface_video.errors import InputError
from dynface_video.media.io.probe import ColourInfo, probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.pixels.colour import convert
from dynface_video.media.pixels.planes import Planes
from identity import REACH, checkered, stand_in

SIZE = (256, 192)
FRAMES = 5
CENTRE = (120.0, 90.0)
ROTATED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
MIRRORED = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
COLOURS = [
    pytest.param((6, 6, 6), id="601"),
    pytest.param((1, 1, 1), id="709"),
    pytest.param((9, 9, 14), id="2020"),
]


def photograph(number: int) -> np.ndarray:
    """A picture with skin, orange, blue and black, (H, W, 3) uint8, that moves two pixels a frame."""
    return np.ascontiguousarray(astronaut()[20 : 20 + SIZE[1], 100 + 2 * number : 100 + 2 * number + SIZE[0]])


def film(
    path: Path,
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    pixel_format: str = "yuv420p",
    *,
    grey: bool = False,
    aspect: Fraction = Fraction(1),
    display_matrix: tuple[int, ...] | None = None,
) -> Path:
    """A good encoding of the photograph, converted by its colour tags (matrix, primaries, transfer, range)."""
    codec = "libx264" if pixel_format == "yuv420p" else "libx265"
    colour = ColourInfo(*tags)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixel_format
        context = stream.codec_context
        context.thread_count = 1
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        context.sample_aspect_ratio = aspect
        context.options = {"crf": "8", "preset": "ultrafast"}
        if codec == "libx265":
            context.options = context.options | {"x265-params": "log-level=none"}
        stream.set_display_matrix(display_matrix)
        for number in range(FRAMES):
            rgb = photograph(number)
            if grey:
                rgb = np.repeat(rgb.mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
            picture = convert(av.VideoFrame.from_ndarray(rgb, format="rgb24"), pixel_format, colour)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def errors(ours: Path, theirs: Path) -> tuple[float, float]:
    """Mean absolute difference of the RGB pictures, in levels of 8 bit, outside the face and inside it."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    inside = (abs(x - CENTRE[0]) < REACH) & (abs(y - CENTRE[1]) < REACH)
    outer, inner = [], []
    for a, b in zip(read_frames(probe(ours)), read_frames(probe(theirs)), strict=True):
        difference = np.abs(a.rgb().astype(int) - b.rgb())
        outer.append(difference[~inside].mean())
        inner.append(difference[inside].mean())
    return float(np.mean(outer)), float(np.mean(inner))


@pytest.mark.parametrize("matrix", COLOURS)
@pytest.mark.parametrize("extent", [pytest.param(1, id="limited"), pytest.param(2, id="full")])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_colours_outside_the_face_stay_within_a_level_and_a_half(
    matrix: tuple[int, int, int], extent: int, pixel_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source = film(tmp_path / "in.mp4", (*matrix, extent), pixel_format)
    target = tmp_path / "out.mp4"
    assert restore_video(source, target).faces == FRAMES
    assert probe(target).colour == probe(source).colour == ColourInfo(*matrix, extent)
    outside, inside = errors(target, source)
    assert outside < 1.5
    assert inside > 3


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_a_face_restored_to_itself_changes_no_sample_without_loss(
    pixel_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kit
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, sharp=True)
    source = film(tmp_path / "in.mp4", (1, 1, 1, 1), pixel_format)
    assert restore_video(source, tmp_path / "out.mkv", codec="ffv1").faces == FRAMES
    ours, theirs = kit.index(probe(tmp_path / "out.mkv")), kit.index(probe(source))
    np.testing.assert_array_equal(ours.checksums, theirs.checksums)


@pytest.mark.parametrize(
    ("matrix", "aspect", "place"),
    [
        (ROTATED, Fraction(1), (90, 71)),
        (MIRRORED, Fraction(1), (135, 90)),
        (None, Fraction(2), (60, 90)),
    ],
)
def test_a_face_is_restored_where_it_is_shown(
    matrix: tuple[int, ...] | None,
    aspect: Fraction,
    place: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source, target = film(tmp_path / "in.mp4", display_matrix=matrix, aspect=aspect), tmp_path / "out.mkv"
    assert restore_video(source, target, codec="ffv1").faces == FRAMES
    for ours, theirs in zip(read_frames(probe(target)), read_frames(probe(source)), strict=True):
        luma = [Planes(frame.picture, full=False).samples(0).astype(int) for frame in (ours, theirs)]
        changed = np.argwhere(luma[0] != luma[1])
        # A crop reaches further above the landmarks than below: its centre lies 6.7 pixels from their middle.
        assert np.abs(changed.mean(axis=0)[::-1] - place).max() < 8
        assert len(changed) > 300


@pytest.mark.parametrize(
    ("grayscale", "grey", "coloured"),
    [("auto", True, False), ("auto", False, True), ("on", False, False), ("off", True, True)],
)
def test_black_and_white_film_gets_no_colour_unless_asked(
    grayscale: str, grey: bool, coloured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def painted(crops: np.ndarray) -> np.ndarray:
        stripes = 0.2 * np.sign(np.sin(np.arange(crops.shape[2]) / 2)).astype(np.float32)
        return np.clip(crops + stripes[:, None] * np.array([1, -0.5, -1], np.float32), 0, 1)

    stand_in(monkeypatch.setattr, centre=CENTRE, change=painted)
    source = film(tmp_path / "in.mp4", (1, 1, 1, 1), grey=grey)
    restore_video(source, tmp_path / "out.mkv", codec="ffv1", grayscale=grayscale)
    box = np.s_[int(CENTRE[1]) - 8 : int(CENTRE[1]) + 8, int(CENTRE[0]) - 8 : int(CENTRE[0]) + 8]
    for ours, theirs in zip(read_frames(probe(tmp_path / "out.mkv")), read_frames(probe(source)), strict=True):
        regions = [frame.rgb()[box].astype(int) for frame in (ours, theirs)]
        stripes = [np.ptp((region[..., 0] - region[..., 2]).mean(axis=0)) for region in regions]
        assert (stripes[0] > stripes[1] + 20) == coloured


def test_preset_and_pixel_format_reach_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = film(tmp_path / "in.mp4", (1, 1, 1, 1))
    restore_video(source, tmp_path / "out.mp4", pix_fmt="yuv422p", encoder_preset="ultrafast")
    assert probe(tmp_path / "out.mp4").pixel_format == "yuv422p"
    for wrong in ({"pix_fmt": "yuv999p"}, {"encoder_preset": "hasty"}):
        with pytest.raises(InputError, match=r"yuv999p|hasty"):
            restore_video(source, tmp_path / "no.mp4", **wrong)
    assert not (tmp_path / "no.mp4").exists()


def test_a_moving_gif_is_a_video_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kit) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    ticks = {"time_base": Fraction(1, 100), "pts": tuple(range(0, 80, 10))}
    source = kit.clip("in.gif", codec="gif", pixel_format="rgb8", size=SIZE, **ticks)
    assert restore_video(source, tmp_path / "out.mp4").frames == 8
    assert kit.times(tmp_path / "out.mp4") == [Fraction(number, 10) for number in range(8)]


@pytest.mark.parametrize(("codec", "pixel_format"), [("prores_ks", "yuva444p10le"), ("qtrle", "argb"), ("png", "rgba")])
def test_transparency_stays_where_the_encoder_has_it_and_is_named_where_not(
    codec: str, pixel_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source, ramp = tmp_path / "in.mov", np.tile(np.arange(SIZE[0], dtype=np.uint8), (SIZE[1], 1))
    with av.open(str(source), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixel_format
        for number in range(FRAMES):
            rgba = np.dstack([photograph(number), ramp])
            picture = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixel_format)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    assert not restore_video(source, tmp_path / "out.mkv", codec="ffv1").warnings
    for frame in read_frames(probe(tmp_path / "out.mkv")):
        assert np.abs(frame.picture.to_ndarray(format="rgba")[..., 3].astype(int) - ramp).max() <= 2
    lost = restore_video(source, tmp_path / "out.mp4", encoder_preset="ultrafast").warnings
    assert any("transparency is not in the output" in warning for warning in lost)
