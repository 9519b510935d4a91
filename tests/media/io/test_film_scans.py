"""Film scans: every sample and header outside the face comes back, whatever the depth."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.api import restore_video
from dynface_video.errors import InputError
from dynface_video.media.io.film_scans import read_film_scan
from dynface_video.media.io.images import image_size, read_image, write_image
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.io.sequence import image_files, is_sequence, probe_images
from dynface_video.media.pixels.sample_arrays import arrays_of, picture_from_arrays
from dynface_video.media.pixels.working_range import FILM_LOG
from identity import checkered, stand_in

SIZE = (256, 192)
DPX = ["gbrp10be", "gbrp10le", "gbrp12be", "rgb48be", "rgb48le", "rgb24", "rgba", "rgba64be", "gray", "gray16be"]
EXR = [("gbrpf32le", "half"), ("gbrpf32le", "float"), ("gbrapf32le", "half"), ("grayf32le", "float")]
ENDING = {"dpx": ".dpx", "exr": ".exr", "jpeg2000": ".jp2", "ppm": ".ppm"}


def photograph(number: int) -> np.ndarray:
    """(H, W, 3) float64 in [0, 1], never twice the same value beside another."""
    rgb = astronaut()[20 : 20 + SIZE[1], 100 + 2 * number : 100 + 2 * number + SIZE[0]].astype(np.float64)
    return (rgb + np.random.default_rng(number).random(rgb.shape)) / 256


def encoded(samples: np.ndarray, codec: str, pixel_format: str, options: dict[str, str]) -> bytes:
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = samples.shape[1], samples.shape[0], pixel_format
    context.time_base, context.options = Fraction(1, 25), options
    layout = av.VideoFormat(pixel_format)
    colours = samples[..., 1] if pixel_format.startswith("gray") else samples
    alpha = np.linspace(0, 1, samples[..., 0].size).reshape(samples.shape[:2]) if len(layout.components) == 4 else None
    if "f32" in pixel_format:
        # Scene-linear light reaches beyond white, and below black.
        colours = (colours * 4 - 0.01).astype(np.float16).astype(np.float32)
        alpha = None if alpha is None else alpha.astype(np.float16).astype(np.float32)
    else:
        most = (1 << layout.components[0].bits) - 1
        kind = np.uint8 if most == 255 else np.uint16
        colours = np.rint(colours * most).astype(kind)
        alpha = None if alpha is None else np.rint(alpha * most).astype(kind)
    picture = picture_from_arrays(colours, alpha, pixel_format)
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])


def dpx(pixel_format: str, number: int = 0, transfer: int = 2) -> bytes:
    """A DPX file with a timecode, a film's manufacturer and a transfer characteristic in its header."""
    data = bytearray(encoded(photograph(number), "dpx", pixel_format, {}))
    data[801] = transfer
    data[1664 - 4 : 1664] = b"\x12\x34\x56\x78"
    data[160:176] = b"Oxberry Cinescan"
    return bytes(data)


def exr(pixel_format: str, form: str, number: int = 0) -> bytes:
    """An OpenEXR file with attributes that a scanner would write."""
    data = encoded(photograph(number), "exr", pixel_format, {"format": form, "compression": "zip1"})
    added = b"owner\0string\0" + struct.pack("<I", 7) + b"Archive"
    added += b"keyCode\0keycode\0" + struct.pack("<I7i", 28, 1, 2, 3, 4, 5, 4, 64)
    start = 8
    table = header_length(data)
    first = struct.unpack_from("<Q", data, table)[0]
    offsets = np.frombuffer(data[table:first], "<u8") + np.uint64(len(added))
    return data[:start] + added + data[start:table] + offsets.tobytes() + data[first:]


def header_length(data: bytes) -> int:
    place = 8
    while data[place]:
        place = data.index(b"\0", data.index(b"\0", place) + 1) + 1
        place += 4 + struct.unpack_from("<I", data, place)[0]
    return place + 1


def decode(path: Path, codec: str) -> tuple[np.ndarray, np.ndarray | None]:
    context = av.CodecContext.create(codec, "r")
    return arrays_of([*context.decode(av.Packet(path.read_bytes())), *context.decode(None)][0])


FILES = [pytest.param(lambda f=f: dpx(f), "dpx", id=f"dpx {f}") for f in DPX] + [
    pytest.param(lambda f=f, form=form: exr(f, form), "exr", id=f"exr {f} {form}") for f, form in EXR
]


@pytest.mark.parametrize(("make", "codec"), FILES)
def test_only_what_changed_changes_and_the_header_stays(tmp_path: Path, make: Callable[[], bytes], codec: str) -> None:
    source, target = tmp_path / f"a.{codec}", tmp_path / f"b.{codec}"
    source.write_bytes(make())
    image = read_image(source)
    assert image_size(source) == SIZE == image.samples.shape[1::-1]
    new = image.samples.copy()
    new[50:90, 60:120] = new[50:90, 60:120] // 2 + new.max() // 8
    assert write_image(target, new, image) == ()
    before, alpha_before = decode(source, codec)
    after, alpha_after = decode(target, codec)
    assert after.dtype == before.dtype
    inside = np.zeros(before.shape[:2], bool)
    inside[50:90, 60:120] = True
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).mean() > 0.9
    if alpha_before is not None:
        np.testing.assert_array_equal(alpha_after, alpha_before)
    assert np.abs(read_image(target).samples.astype(int) - new).max() <= new.max() / 200
    if codec == "dpx":
        assert target.read_bytes()[:1664] == source.read_bytes()[:1664]
        assert target.stat().st_size == source.stat().st_size
    else:
        assert b"owner\0string\0\x07\0\0\0Archive" in target.read_bytes()[: header_length(target.read_bytes())]
        assert b"keyCode\0keycode\0" in target.read_bytes()


def test_depths_are_spread_and_squeezed_without_loss(tmp_path: Path) -> None:
    ramp = np.repeat((np.arange(1024) / 1023).reshape(8, 128, 1), 3, axis=2)
    (tmp_path / "a.dpx").write_bytes(encoded(ramp, "dpx", "gbrp10be", {}))
    image = read_image(tmp_path / "a.dpx")
    assert image.samples.dtype == np.uint16
    assert (image.samples.min(), image.samples.max(), len(np.unique(image.samples))) == (0, 65535, 1024)
    new = image.samples.copy()
    new[0, 0] = 65535
    write_image(tmp_path / "b.dpx", new, image)
    written = decode(tmp_path / "b.dpx", "dpx")[0].reshape(-1, 3)
    np.testing.assert_array_equal(written[1:, 0], np.arange(1, 1024))
    assert written[0, 0] == 1023


def test_linear_light_is_seen_as_sdr(tmp_path: Path) -> None:
    light = np.repeat(np.array([[0.0, 0.18, 0.5, 1.0, 8.0, 100.0]])[..., None], 3, axis=2).repeat(8, axis=0)
    context = av.CodecContext.create("exr", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 6, 8, "gbrpf32le", Fraction(1, 25)
    picture = picture_from_arrays(light.astype(np.float32), None, "gbrpf32le")
    picture.pts = 0
    (tmp_path / "a.exr").write_bytes(b"".join(bytes(p) for p in [*context.encode(picture), *context.encode(None)]))
    seen = read_image(tmp_path / "a.exr").samples[0, :, 0] / 65535
    # Mid grey is 0.46 by the sRGB curve; white lies on the shoulder.
    np.testing.assert_allclose(seen[:4], [0.0, 0.461, 0.7 + 0.125 * np.log1p((0.7354 - 0.7) / 0.125), 0.853], atol=0.01)
    assert seen[3] < seen[4] <= seen[5] <= 1


def test_film_logarithms_are_told_and_their_codes_stay(tmp_path: Path) -> None:
    for transfer, wanted in ((1, FILM_LOG), (3, FILM_LOG), (2, 2), (6, 2)):
        (tmp_path / "a.dpx").write_bytes(dpx("gbrp10be", transfer=transfer))
        assert read_film_scan(tmp_path / "a.dpx", "DPX").transfer == wanted
    info = probe_images(tmp_path / "a.dpx", Fraction(24))
    assert info.colour.transfer == 2


NAMES = {
    "f%04d.jp2": True,
    "f%04d_4k.ppm": True,
    "reel2_%07d_v3.dpx": True,
    "take 4: %03d.exr": True,
    "%d.dpx": True,
}


@pytest.mark.parametrize("pattern", NAMES)
def test_digits_beside_the_number_do_not_hide_a_sequence(tmp_path: Path, pattern: str) -> None:
    ending = Path(pattern).suffix
    data = {
        ".jp2": lambda n: encoded(photograph(n), "jpeg2000", "rgb48le", {"format": "jp2", "pred": "dwt53"}),
        ".ppm": lambda n: encoded(photograph(n), "ppm", "rgb48be", {}),
        ".dpx": lambda n: dpx("gbrp10be", n),
        ".exr": lambda n: exr("gbrpf32le", "half", n),
    }[ending]
    for number in (9, 10, 11):
        (tmp_path / (pattern % number)).write_bytes(data(number - 9))
    files = image_files(tmp_path)
    assert [path.name for path in files] == [pattern % number for number in (9, 10, 11)]
    assert is_sequence(files)
    info = probe_images(tmp_path, Fraction(24))
    assert info.pixel_format == "rgb48le"
    seen = [frame.picture.to_ndarray() for frame in read_frames(info)]
    assert len(seen) == 3
    if ending in (".jp2", ".ppm"):
        np.testing.assert_array_equal(seen[0], np.rint(photograph(0) * 65535).astype(np.uint16))


def test_names_that_differ_in_two_numbers_are_no_sequence(tmp_path: Path) -> None:
    for name in ("scan_1_1.ppm", "scan_2_7.ppm", "scan_2_8.ppm"):
        (tmp_path / name).write_bytes(encoded(photograph(0), "ppm", "rgb24", {}))
    assert not is_sequence(image_files(tmp_path))


@pytest.mark.parametrize(
    ("ending", "make"),
    [(".dpx", lambda n: dpx("gbrp10be", n, transfer=1)), (".exr", lambda n: exr("gbrpf32le", "half", n))],
)
def test_a_folder_of_scans_becomes_a_folder_of_scans(
    tmp_path: Path, ending: str, make: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=(120.0, 90.0), change=checkered)
    source, target = tmp_path / "scans", tmp_path / "restored"
    source.mkdir()
    for number in range(5):
        (source / f"r1_{number:07d}{ending}").write_bytes(make(number))
    assert restore_video(source, target, grayscale="off").faces == 5
    for number in range(5):
        name = f"r1_{number:07d}{ending}"
        before, after = (decode(folder / name, ending[1:])[0] for folder in (source, target))
        np.testing.assert_array_equal(after[:20], before[:20])
        np.testing.assert_array_equal(after[:, :40], before[:, :40])
        assert (after[80:100, 110:130] != before[80:100, 110:130]).mean() > 0.5
        if ending == ".dpx":
            assert (target / name).read_bytes()[:1664] == (source / name).read_bytes()[:1664]


@pytest.mark.parametrize("target", ["one.dpx", "one.png", "one.tif"])
def test_one_scan_is_an_image(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=(120.0, 90.0), change=checkered)
    (tmp_path / "a.dpx").write_bytes(dpx("gbrp10be"))
    assert restore_video(tmp_path / "a.dpx", tmp_path / target).faces == 1
    assert read_image(tmp_path / target).samples.dtype == np.uint16


def test_scans_become_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = tmp_path / "scans"
    source.mkdir()
    for number in range(4):
        (source / f"{number:07d}.dpx").write_bytes(dpx("gbrp10be", number, transfer=1))
    restore_video(source, tmp_path / "out.mkv", codec="ffv1", fps="24")
    info = probe(tmp_path / "out.mkv")
    assert (info.declared_frames, info.frame_rate, info.colour.transfer) == (None, 24, 2)
    first = next(read_frames(info)).picture.reformat(format="rgb48le").to_ndarray()
    assert np.abs(first.astype(int) - read_image(source / "0000000.dpx").samples).max() <= 64


@pytest.mark.parametrize("name", ["a.dpx", "a.exr"])
@pytest.mark.parametrize("content", [b"", b"SDPX", b"\x76\x2f\x31\x01\x02", b"not a scan at all" * 100])
def test_damaged_scans_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def test_scans_are_written_only_from_their_own_kind(tmp_path: Path) -> None:
    (tmp_path / "a.dpx").write_bytes(dpx("gbrp10be"))
    image = read_image(tmp_path / "a.dpx")
    with pytest.raises(InputError, match="EXR is written only from EXR"):
        write_image(tmp_path / "b.exr", image.samples, image)
    assert not (tmp_path / "b.exr").exists()
