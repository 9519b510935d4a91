"""A stream that changes in the middle is shown as before: proportions, place and colours; and the change is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.media.io.probe import ColourInfo, VideoInfo, probe
from dynface_video.media.io.read import read_frames, read_span, to_display
from dynface_video.media.output.stream_copy import closed_spans
from dynface_video.media.pixels.colour import convert
from dynface_video.media.pixels.fitting import PictureFitter
from identity import checkered, stand_in

PART = 6
SKIN = (224, 172, 138)


@dataclass(frozen=True)
class Part:
    """One part of a stream. tags: matrix, primaries, transfer, range"""

    size: tuple[int, int]
    aspect: Fraction = Fraction(1)
    pixel_format: str = "yuv420p"
    tags: tuple[int, int, int, int] = (1, 1, 1, 1)


def disc(part: Part) -> np.ndarray:
    """A skin-coloured disc, round as displayed, in the middle of grey: (H, W, 3) uint8."""
    width, height = part.size
    y, x = np.mgrid[:height, :width]
    across, down = (x - (width - 1) / 2) * float(part.aspect), y - (height - 1) / 2
    radius = 0.3 * min(width * float(part.aspect), height)
    return np.where((np.hypot(across, down) < radius)[..., None], SKIN, (90, 90, 90)).astype(np.uint8)


def joined(path: Path, parts: Sequence[Part]) -> Path:
    """An MPEG transport stream of parts encoded on their own, as a receiver records a programme that changes."""
    with av.open(str(path), "w", format="mpegts") as container:
        target = None
        for number, part in enumerate(parts):
            for packet, encoder in encoded(part, number * PART):
                if target is None:
                    target = container.add_stream("libx264", rate=25)
                    target.width, target.height = part.size
                    target.pix_fmt = part.pixel_format
                    target.time_base = Fraction(1, 25)
                    del encoder
                packet.stream = target
                container.mux(packet)
    return path


def encoded(part: Part, first: int) -> list[tuple[av.Packet, av.CodecContext]]:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = *part.size, part.pixel_format
    context.time_base, context.framerate, context.thread_count = Fraction(1, 25), Fraction(25), 1
    context.sample_aspect_ratio = part.aspect
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = part.tags
    context.options = {"preset": "ultrafast", "crf": "10"}
    packets = []
    for number in range(PART):
        rgb = av.VideoFrame.from_ndarray(disc(part), format="rgb24")
        picture = convert(rgb, part.pixel_format, ColourInfo(*part.tags))
        picture.pts, picture.time_base = first + number, Fraction(1, 25)
        packets += context.encode(picture)
    return [(packet, context) for packet in [*packets, *context.encode(None)]]


def shown(info: VideoInfo, number: int) -> np.ndarray:
    frame = list(read_frames(info))[number]
    return to_display(frame.rgb(), info.display).astype(int)


def disc_of(rgb: np.ndarray) -> tuple[float, float, float, float]:
    """Width, height and centre (x, y) of the skin-coloured disc."""
    y, x = np.nonzero(rgb[..., 0] - rgb[..., 2] > 45)
    return float(np.ptp(x) + 1), float(np.ptp(y) + 1), float(x.mean()), float(y.mean())


CHANGES = [
    pytest.param(Part((96, 170)), Part((170, 96)), "picture size changes from 96x170 to 170x96", id="portrait"),
    pytest.param(Part((128, 96)), Part((256, 192)), "picture size changes from 128x96 to 256x192", id="larger"),
    pytest.param(
        Part((128, 96)), Part((128, 96), Fraction(4, 3)), "sample aspect ratio changes from 1:1 to 4:3", id="aspect"
    ),
    pytest.param(
        Part((96, 96), Fraction(4, 3)), Part((128, 96)), "sample aspect ratio changes from 4:3 to 1:1", id="square"
    ),
    pytest.param(
        Part((128, 96)), Part((128, 96), pixel_format="yuv422p"), "pixel format changes from yuv420p", id="format"
    ),
    pytest.param(Part((128, 96)), Part((128, 96), tags=(6, 1, 1, 1)), "colour matrix changes from 1 to 6", id="matrix"),
    pytest.param(
        Part((128, 96)),
        Part((128, 96), pixel_format="yuvj420p", tags=(1, 1, 1, 2)),
        "colour range changes from 1 to 2",
        id="range",
    ),
]


@pytest.mark.parametrize(("first", "second", "message"), CHANGES)
def test_the_second_part_is_shown_round_in_the_middle_and_in_its_colours(
    kit, first: Part, second: Part, message: str
) -> None:
    info, warnings = probe(joined(kit.folder / "a.ts", [first, second])), list[str]()
    frames = list(read_frames(info, on_warning=warnings.append))
    assert len(frames) == 2 * PART
    assert {(f.picture.width, f.picture.height, f.picture.format.name) for f in frames} == {
        (*first.size, first.pixel_format)
    }
    picture = to_display(frames[-1].rgb(), info.display).astype(int)
    wide, high, x, y = disc_of(picture)
    assert wide == pytest.approx(high, abs=3)
    assert x == pytest.approx((info.display.width - 1) / 2, abs=1.5)
    assert y == pytest.approx((info.display.height - 1) / 2, abs=1.5)
    np.testing.assert_allclose(picture[round(y), round(x)], SKIN, atol=4)
    (warning,) = warnings
    assert message in warning
    assert f"at {float(frames[PART].time):.3f} s" in warning


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (6, 6, 6, 1), (1, 1, 1, 2)])
def test_bars_are_black_and_the_picture_keeps_its_proportions(kit, tags: tuple[int, int, int, int]) -> None:
    info = probe(joined(kit.folder / "a.ts", [Part((96, 170), tags=tags), Part((170, 96), tags=tags)]))
    picture = shown(info, PART + 1)
    # 170x96 in a width of 96 is 54 lines high: 58 black ones above and below.
    assert picture[:56].max() < 5
    assert picture[-56:].max() < 5
    assert abs(picture[60:110, 4] - 90).max() < 8


def test_what_comes_back_to_the_first_shape_is_untouched_and_told(kit) -> None:
    one, other = Part((128, 96)), Part((96, 128))
    info, warnings = probe(joined(kit.folder / "a.ts", [one, other, one])), list[str]()
    frames = list(read_frames(info, on_warning=warnings.append))
    np.testing.assert_array_equal(frames[-1].rgb(), frames[PART - 1].rgb())
    assert len(warnings) == 2
    assert "as at the beginning" in warnings[1]


def test_a_span_of_the_second_part_is_the_same(kit) -> None:
    info = probe(joined(kit.folder / "a.ts", [Part((96, 170)), Part((170, 96), Fraction(4, 3))]))
    index = kit.index(info)
    assert index.fitted == ((PART, 2 * PART),)
    whole = list(read_frames(info))[PART + 2].rgb()
    (alone,) = read_span(info, index, PART + 2, PART + 3)
    np.testing.assert_array_equal(alone.rgb(), whole)
    assert closed_spans(info, index) == [(0, PART)]


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_picture_that_is_turned_otherwise_is_shown_as_its_own_orientation_says(
    kit, degrees: int, mirrored: bool
) -> None:
    info = probe(kit.clip("a.mp4"))
    picture = next(read_frames(info)).picture
    wanted = to_display(next(read_frames(info)).rgb(), info.display)
    quarter = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    a, b, c, d = ((-quarter[0], -quarter[1]) if mirrored else quarter[:2]) + quarter[2:]
    one = 1 << 16
    turned = probe(kit.clip("b.mp4", display_matrix=(a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)))
    # The decoder of the turned clip puts its matrix on its pictures; the fitter is that of the upright one.
    raw = next(read_frames(turned)).picture
    told: list[str] = []
    fitted, changed = PictureFitter(info).fit(raw, Fraction(1), told.append)
    assert changed
    assert f"the orientation changes from 0 degrees to {degrees} degrees" in told[0]
    ours = convert(fitted, "rgb24", info.colour).to_ndarray().astype(int)
    upright = to_display(convert(raw, "rgb24", turned.colour).to_ndarray(), turned.display).astype(int)
    if degrees == 180:
        assert abs(ours - upright).mean() < 5 < abs(ours - upright[:, ::-1]).mean() / 4
    else:
        assert upright.shape == (*wanted.shape[1::-1], 3)
        # 64x96 into 96x64: scaled to 43 columns between bars of 26.
        assert ours[:, :24].max() < 5
        assert ours[:, -24:].max() < 5
        y, x = 20, 21
        assert abs(ours[:, 26:69].mean(axis=(0, 1)) - upright.mean(axis=(0, 1))).max() < 6
        assert abs(ours[y, 26 + x] - upright[round(y * 1.5), round(x * 1.5)]).max() < 60
    assert (fitted.width, fitted.height) == (picture.width, picture.height)


def test_primaries_that_change_are_named_as_not_converted(kit) -> None:
    info, told = probe(kit.clip("a.mp4", tags=(1, 1, 1, 1))), list[str]()
    picture = next(read_frames(probe(kit.clip("b.mp4", tags=(1, 9, 16, 1))))).picture
    PictureFitter(replace(info, colour=ColourInfo(1, 1, 1, 1))).fit(picture, Fraction(1), told.append)
    assert "primaries and transfer are not converted" in told[0]


def test_a_face_in_the_second_part_is_restored_where_it_is_shown(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Part((256, 192)), Part((192, 256))
    source, target = joined(kit.folder / "a.ts", [first, second]), kit.folder / "out.mkv"
    stand_in(monkeypatch.setattr, centre=(128.0, 96.0), change=checkered)
    result = restore_video(source, target, codec="ffv1", grayscale="off")
    assert result.faces >= 2 * PART - 2
    assert any("picture size changes from 256x192 to 192x256" in warning for warning in result.warnings)
    before, after = shown(probe(source), PART + 4), shown(probe(target), PART + 4)
    changed = abs(after - before).max(axis=2)
    assert changed[80:112, 112:144].mean() > 5
    # 192x256 in a height of 192 is 144 columns wide; the bars stay black.
    assert changed[:, :50].max() == changed[:, -50:].max() == 0
    assert after[:, :50].max() < 5
