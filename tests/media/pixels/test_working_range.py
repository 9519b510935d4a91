"""HDR reaches networks as SDR would look, and comes back without loss."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.media.io.probe import ColourInfo, probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.pixels.colour import read_region, writable_copy
from dynface_video.media.pixels.working_range import (
    FILM_LOG,
    HLG,
    LINEAR,
    PQ,
    WorkingRange,
    blend_working_region,
    picture_to_working_rgb,
    read_working_region,
    working_range,
)
from identity import checkered, stand_in

KINDS = [
    pytest.param(WorkingRange(PQ, wide=True), id="PQ"),
    pytest.param(WorkingRange(HLG, wide=True), id="HLG"),
    pytest.param(WorkingRange(FILM_LOG), id="film"),
    pytest.param(WorkingRange(LINEAR), id="linear"),
]
COLOURS = {"PQ": ColourInfo(9, 9, PQ, 1), "HLG": ColourInfo(9, 9, HLG, 1)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_ramp_comes_back_to_a_quarter_of_a_step_of_twelve_bits(kind: WorkingRange) -> None:
    ramp = np.linspace(0, 1, 4096)
    colours = np.stack([ramp, ramp[::-1], np.roll(ramp, 1000)], axis=-1)
    for rgb in (colours, np.repeat(ramp[:, None], 3, axis=1)):
        np.testing.assert_allclose(kind.from_working(kind.to_working(rgb)), rgb, atol=0.25 / 4095)


@pytest.mark.parametrize("kind", KINDS)
def test_grey_rises_and_stays_grey(kind: WorkingRange) -> None:
    grey = kind.to_working(np.repeat(np.linspace(0.0, 1, 500)[:, None], 3, axis=1))
    assert (np.diff(grey[:, 0]) > 0).all()
    np.testing.assert_allclose(grey[:, 0], grey[:, 1], atol=2e-4)
    np.testing.assert_allclose(grey[:, 0], grey[:, 2], atol=2e-4)


@pytest.mark.parametrize(
    ("kind", "coded", "light"),
    [
        # Table 1 of ITU-R BT.2408: diffuse white is 58 % of PQ and 75 % of HLG, 18 % grey is 38 % of both.
        (WorkingRange(PQ), 0.58, 1.0),
        (WorkingRange(HLG), 0.75, 1.0),
        (WorkingRange(PQ), 0.38, 26 / 203),
        (WorkingRange(HLG), 0.38, 26 / 203),
        (WorkingRange(FILM_LOG), 685 / 1023, 1.0),
        (WorkingRange(FILM_LOG), 95 / 1023, 0.0),
        (WorkingRange(LINEAR), 0.18, 0.18),
    ],
)
def test_published_levels_are_where_sdr_has_them(kind: WorkingRange, coded: float, light: float) -> None:
    srgb = 12.92 * light if light < 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    wanted = srgb if srgb < 0.7 else 0.7 + 0.125 * np.log1p((srgb - 0.7) / 0.125)
    np.testing.assert_allclose(kind.to_working(np.full(3, coded)), wanted, atol=0.012)


def test_skin_of_wide_primaries_is_that_of_narrow_ones() -> None:
    skin = np.array([0.45, 0.25, 0.17])
    wide = np.linalg.inv(
        [[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.008349], [-0.018151, -0.100579, 1.11873]]
    )
    np.testing.assert_allclose(
        WorkingRange(LINEAR, wide=True).to_working(skin @ wide.T), WorkingRange(LINEAR).to_working(skin), atol=5e-4
    )


def test_sdr_is_left_as_it_is() -> None:
    assert working_range(ColourInfo(1, 1, 1, 1)) is None
    assert working_range(ColourInfo(9, 9, 14, 1)) is None
    assert working_range(ColourInfo()) is None


def ramp(pixel_format: str, colour: ColourInfo) -> av.VideoFrame:
    """A ramp from black to white, left to right, brighter in red above and in blue below."""
    grey = np.linspace(0, 65535, 256)[None, :, None] * np.ones((64, 1, 3))
    grey[:32, :, 2] *= 0.8
    grey[32:, :, 0] *= 0.8
    picture = av.VideoFrame.from_ndarray(grey.astype(np.uint16), format="rgb48le")
    return picture.reformat(format=pixel_format, dst_colorspace=9, dst_color_range=colour.range)


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv444p12le", "gbrp16le"])
def test_blending_back_what_was_read_changes_no_sample(colour: ColourInfo, pixel_format: str) -> None:
    picture = writable_copy(ramp(pixel_format, colour))
    before = [bytes(plane) for plane in picture.planes]
    box = (16, 8, 240, 56)
    region = read_working_region(picture, box, colour)
    assert region.dtype == np.float32
    blend_working_region(picture, box, region, np.ones(region.shape[:2], np.float32), colour)
    assert [bytes(plane) for plane in picture.planes] == before


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_a_change_in_the_working_range_is_read_again_as_it_was_made(colour: ColourInfo) -> None:
    picture = writable_copy(ramp("gbrp16le", colour))
    box = (0, 0, 160, 64)
    region = np.clip(read_working_region(picture, box, colour), 0.02, 0.9) * 0.9 + 0.03
    blend_working_region(picture, box, region, np.ones(region.shape[:2], np.float32), colour)
    np.testing.assert_allclose(read_working_region(picture, box, colour), region, atol=0.01)


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_the_picture_for_detectors_is_that_of_the_regions(colour: ColourInfo) -> None:
    picture = ramp("yuv444p12le", colour)
    region = np.clip(read_working_region(picture, (0, 0, 256, 64), colour), 0, 1)
    seen = picture_to_working_rgb(picture, colour)
    assert seen.dtype == np.uint8
    assert np.abs(seen / 255 - region)[:, 8:].mean() < 0.006


def film(path: Path, colour: ColourInfo) -> Path:
    """A still photograph, ten bit, without loss, with the tags of HDR."""
    from skimage.data import astronaut

    rgb = (astronaut()[20:212, 100:356].astype(np.uint16) * 190) + 500
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb48le").reformat(
        format="yuv420p10le", dst_colorspace=9, dst_color_range=1
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries = colour.matrix, colour.primaries
        context.color_trc, context.color_range = colour.transfer, colour.range
        for number in range(5):
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("changed", [False, True])
def test_hdr_outside_the_face_keeps_every_bit(
    kit, colour: ColourInfo, changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=(120.0, 90.0), change=checkered if changed else None, sharp=not changed)
    source, target = film(kit.folder / "in.mkv", colour), kit.folder / "out.mkv"
    assert restore_video(source, target, codec="ffv1", grayscale="off").faces == 5
    assert probe(target).colour == probe(source).colour == colour
    for ours, theirs in zip(read_frames(probe(target)), read_frames(probe(source)), strict=True):
        before, after = theirs.picture.to_ndarray(), ours.picture.to_ndarray()
        same = before[:192] == after[:192]
        assert same[:, :40].all() and same[:, 200:].all() and same[:20].all()
        assert same.all() != changed


def test_a_real_hlg_clip_is_read_as_sdr_and_kept(kit, shared_videos: Path) -> None:
    info = probe(shared_videos / "crowd_hevc10_hlg.mp4")
    assert info.colour.transfer == HLG
    frame = next(read_frames(info))
    box = (200, 100, 900, 600)
    coded, working = read_region(frame.picture, box, info.colour), read_working_region(frame.picture, box, info.colour)
    assert np.corrcoef(coded.ravel(), working.ravel())[0, 1] > 0.95
    picture = writable_copy(frame.picture)
    before = picture.to_ndarray()
    blend_working_region(picture, box, working, np.ones(working.shape[:2], np.float32), info.colour)
    np.testing.assert_array_equal(picture.to_ndarray(), before)
