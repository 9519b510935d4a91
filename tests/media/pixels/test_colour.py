"""Regions of pictures as RGB and back, in every format and matrix."""

from fractions import Fraction

import av
import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.media.io.probe import ColourInfo
from dynface_video.media.pixels.colour import (
    blend_region,
    convert,
    picture_to_quick_rgb,
    picture_to_rgb,
    read_region,
    rgb_to_ycc,
    working_format,
    writable_copy,
)
from dynface_video.media.pixels.planes import Planes
from dynface_video.media.pixels.siting import offsets
from dynface_video.media.timing.index import checksum

EIGHT_BIT = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p", "gray", "gbrp", "yuva420p"]
DEEP = ["yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p16le", "gray10le", "gbrp12le"]
FORMATS = EIGHT_BIT + DEEP
BOXES = [(0, 0, 97, 63), (13, 7, 60, 41), (96, 62, 97, 63), (1, 1, 4, 4)]


def noise(pixel_format: str, size: tuple[int, int] = (97, 63), seed: int = 0) -> av.VideoFrame:
    """A picture of independent random samples: the hardest case."""
    picture = av.VideoFrame(*size, pixel_format)
    random = np.random.default_rng(seed)
    bits = picture.format.components[0].bits
    for plane in picture.planes:
        kind = np.uint8 if bits == 8 else np.dtype("<u2")
        samples = np.frombuffer(memoryview(plane), kind)
        samples[:] = random.integers(0, 1 << bits, samples.size)
    picture.pts, picture.time_base = 7, Fraction(1, 25)
    return picture


@pytest.mark.parametrize("matrix", [1, 6, 9, 8, 2])
@pytest.mark.parametrize("extent", [1, 2])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_there_and_back_changes_no_sample(pixel_format: str, matrix: int, extent: int) -> None:
    colour = ColourInfo(matrix, range=extent)
    picture = noise(pixel_format)
    before = checksum(picture)
    for box in BOXES:
        rgb = read_region(picture, box, colour)
        assert rgb.shape == (box[3] - box[1], box[2] - box[0], 3)
        assert rgb.dtype == np.float32
        blend_region(picture, box, rgb, np.ones(rgb.shape[:2], np.float32), colour)
    assert checksum(picture) == before


@pytest.mark.parametrize("pixel_format", [f for f in FORMATS if not f.startswith("gray")])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_what_is_written_is_what_is_read(pixel_format: str, matrix: int) -> None:
    colour = ColourInfo(matrix, range=1)
    picture = noise(pixel_format, (96, 64))
    y, x = np.mgrid[0:64, 0:96] / 96
    wanted = np.stack([0.2 + 0.6 * x, 0.7 - 0.5 * y, 0.4 + 0.3 * x * y], axis=-1).astype(np.float32)
    box = (0, 0, 96, 64)
    blend_region(picture, box, wanted, np.ones((64, 96), np.float32), colour)
    # The noise that was there is known only at the chroma grid; a second pass settles what interpolation left.
    for _ in range(8):
        blend_region(picture, box, wanted, np.ones((64, 96), np.float32), colour)
    error = np.abs(read_region(picture, box, colour) - wanted) * 255
    assert error[8:-8, 8:-8].mean() < (1.5 if pixel_format == "yuv410p" else 1.0)


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_samples_outside_the_mask_keep_every_bit(pixel_format: str) -> None:
    colour = ColourInfo(1, range=1)
    picture, original = noise(pixel_format), noise(pixel_format)
    box = (10, 6, 70, 50)
    mask = np.zeros((44, 60), np.float32)
    mask[11:30, 13:40] = 1
    blend_region(picture, box, np.full((44, 60, 3), 0.3, np.float32), mask, colour)
    planes, untouched = Planes(picture, full=False), Planes(original, full=False)
    reach = np.zeros((63, 97), bool)
    reach[17:36, 23:50] = True
    across, down = (1 << s for s in planes.subsampling)
    padded = np.pad(reach, ((0, -63 % down), (0, -97 % across)))
    coarse = padded.reshape(-(-63 // down), down, -(-97 // across), across).any(axis=(1, 3))
    for component in range(planes.count):
        ours = planes.samples(component)
        changed = ours != untouched.samples(component)
        assert changed.any()
        assert not (changed & ~(reach if ours.shape == reach.shape else coarse)).any()


def test_a_half_mask_goes_half_the_way() -> None:
    colour = ColourInfo(6, range=1)
    picture = convert(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 50, np.uint8), "rgb24"), "yuv444p", colour)
    box = (0, 0, 32, 32)
    before = read_region(picture, box, colour)
    blend_region(picture, box, before + np.float32(0.4), np.full((32, 32), 0.5, np.float32), colour)
    np.testing.assert_allclose(read_region(picture, box, colour), before + 0.2, atol=1 / 200)


def test_saturated_colours_are_clipped_not_wrapped() -> None:
    colour = ColourInfo(1, range=2)
    picture = noise("yuv420p", (32, 32))
    blend_region(picture, (0, 0, 32, 32), np.full((32, 32, 3), 1.7, np.float32), np.ones((32, 32), np.float32), colour)
    assert np.frombuffer(memoryview(picture.planes[0]), np.uint8)[:32].min() == 255


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("extent", [1, 2])
def test_a_photograph_reads_like_ffmpeg_reads_it(matrix: int, extent: int) -> None:
    colour = ColourInfo(matrix, range=extent)
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(astronaut()), format="rgb24")
    picture = convert(source, "yuv420p", colour)
    region = np.clip(read_region(picture, (0, 0, 512, 512), colour), 0, 1) * 255
    assert np.abs(region - picture_to_rgb(picture, colour)).mean() < 0.6
    assert np.abs(region - astronaut()).mean() < 2.5


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "rgb24", "nv12"])
@pytest.mark.parametrize("size", [(96, 64), (37, 23)])
def test_quick_colours_are_nearly_those_of_the_picture(pixel_format: str, size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[1], : size[0]]
    smooth = np.stack([2 * x + 20, 3 * y + 30, 200 - x], axis=2).astype(np.uint8)
    colour = ColourInfo(1, 1, 1, 1)
    shown = convert(av.VideoFrame.from_ndarray(smooth, "rgb24"), pixel_format, colour)
    quick, exact = (read(shown, colour).astype(int) for read in (picture_to_quick_rgb, picture_to_rgb))
    assert quick.shape == exact.shape == smooth.shape
    assert np.abs(quick - exact).mean() < 2.5 and np.abs(quick - exact).max() <= 12


@pytest.mark.parametrize(
    ("matrix", "red"), [(1, (0.2126, -0.1146, 0.5)), (6, (0.299, -0.1687, 0.5)), (9, (0.2627, -0.1396, 0.5))]
)
def test_matrices_are_those_of_the_standards(matrix: int, red: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(rgb_to_ycc(matrix) @ [1, 0, 0], red, atol=1e-4)
    np.testing.assert_allclose(rgb_to_ycc(matrix) @ [1, 1, 1], [1, 0, 0], atol=1e-12)


def test_limited_black_and_white_are_16_and_235() -> None:
    picture = noise("yuv420p", (16, 16))
    for level, value in ((0.0, 16), (1.0, 235)):
        blend_region(
            picture,
            (0, 0, 16, 16),
            np.full((16, 16, 3), level, np.float32),
            np.ones((16, 16), np.float32),
            ColourInfo(),
        )
        assert set(Planes(picture, full=False).samples(0).ravel()) == {value}


def test_packed_formats_are_read_as_they_are_and_changed_as_planar_ones() -> None:
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(astronaut()[:64, :96]), format="rgb24")
    for packed, planar in (("rgb24", "gbrp"), ("nv12", "yuv420p"), ("yuyv422", "yuv422p"), ("p010le", "yuv420p10le")):
        picture = source.reformat(format=packed)
        assert working_format(packed) == planar
        assert writable_copy(picture).format.name == planar
        box = (0, 0, 96, 64)
        copied = read_region(writable_copy(picture), box, ColourInfo())
        np.testing.assert_allclose(read_region(picture, box, ColourInfo()), copied, atol=1e-3)
        with pytest.raises(ValueError, match="take a writable_copy first"):
            blend_region(picture, box, copied, np.ones((64, 96), np.float32), ColourInfo())


def test_a_copy_shares_nothing_and_keeps_time_tags_and_side_data(kit) -> None:
    path = kit.clip("a.mp4", tags=(9, 9, 18, 1), display_matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    copy, before = writable_copy(picture), checksum(picture)
    assert checksum(copy) == before
    blend_region(copy, (0, 0, 32, 32), np.ones((32, 32, 3), np.float32), np.ones((32, 32), np.float32), ColourInfo())
    assert checksum(picture) == before != checksum(copy)
    for name in ("pts", "time_base", "colorspace", "color_primaries", "color_trc", "color_range"):
        assert getattr(copy, name) == getattr(picture, name)
    assert [d.type for d in copy.side_data] == [d.type for d in picture.side_data] != []


@pytest.mark.parametrize("box", [(-1, 0, 4, 4), (0, 0, 0, 4), (90, 0, 98, 4), (5, 5, 4, 8)])
def test_a_box_outside_the_picture_is_an_error(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie in a picture of 97x63"):
        read_region(noise("yuv420p"), box, ColourInfo())


def test_shapes_that_disagree_are_an_error() -> None:
    with pytest.raises(ValueError, match="the box is 4x4"):
        blend_region(
            noise("yuv420p"), (0, 0, 4, 4), np.zeros((4, 5, 3), np.float32), np.zeros((4, 4), np.float32), ColourInfo()
        )


@pytest.mark.parametrize("siting", range(6))
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv410p"])
def test_a_ramp_of_chroma_reads_the_same_wherever_its_samples_lie(pixel_format: str, siting: int) -> None:
    picture = av.VideoFrame(64, 32, pixel_format)
    planes = Planes(picture, full=True)
    right, down = offsets(siting, planes.subsampling)
    across, lower = (1 << shift for shift in planes.subsampling)
    planes.samples(0)[:] = 128
    lines, columns = np.indices(planes.samples(1).shape)
    for component in (1, 2):
        planes.samples(component)[:] = np.rint(40 + 2 * (columns * across + right) + (lines * lower + down))
    y, x = np.mgrid[8:24, 8:56]
    rgb = read_region(picture, (8, 8, 56, 24), ColourInfo(1, range=2, siting=siting))
    blue = (rgb @ rgb_to_ycc(1).T)[..., 1] * 255 + 128
    np.testing.assert_allclose(blue, 40 + 2 * x + y, atol=0.6)


@pytest.mark.parametrize("siting", range(6))
def test_any_siting_goes_there_and_back(siting: int) -> None:
    colour, picture = ColourInfo(6, range=1, siting=siting), noise("yuv420p", (96, 64))
    y, x = np.mgrid[0:64, 0:96] / 96
    wanted = np.stack([0.2 + 0.6 * x, 0.7 - 0.5 * y, 0.4 + 0.3 * x * y], axis=-1).astype(np.float32)
    for _ in range(9):
        blend_region(picture, (0, 0, 96, 64), wanted, np.ones((64, 96), np.float32), colour)
    assert np.abs(read_region(picture, (0, 0, 96, 64), colour) - wanted)[8:-8, 8:-8].mean() * 255 < 1
