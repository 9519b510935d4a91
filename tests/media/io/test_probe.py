"""What a file holds, and clear errors for files that cannot be used."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.errors import InputError
from dynface_video.media.io.probe import ColourInfo, probe
from dynface_video.media.pixels.display import display_geometry, to_display


def test_streams_rate_and_size_are_told(kit) -> None:
    info = probe(kit.clip("a.mp4", sound=2, rate=Fraction(30000, 1001), time_base=Fraction(1001, 30000)))
    assert (info.width, info.height, info.codec, info.pixel_format) == (96, 64, "h264", "yuv420p")
    assert info.frame_rate == Fraction(30000, 1001)
    assert (info.declared_frames, info.stream_index) == (24, 0)
    assert [(s.kind, s.codec, s.language) for s in info.others] == [("audio", "aac", "eng"), ("audio", "aac", "fra")]
    assert info.display.is_identity


def make_folder(path: Path) -> None:
    path.mkdir()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def make_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))


def without_pictures(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov")] = bytes(data.index(b"moov") - start)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), make_folder(path)), "is a folder"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is a pipe or a device"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("Dear diary,\n" * 40), "is not a video"),
        (lambda path: path.write_bytes(bytes(range(256)) * 40), "is not a video"),
        (cut_short, "may be truncated"),
        (lambda path: (path.unlink(), make_sound(path)), r"no video stream \(it holds audio\)"),
        (without_pictures, "not one picture"),
    ],
)
def test_unusable_files_are_named_with_the_reason(kit, spoil: Callable[[Path], object], problem: str) -> None:
    path = kit.clip("a.mp4")
    spoil(path)
    with pytest.raises(InputError, match=problem) as caught:
        probe(path)
    assert str(path) in str(caught.value)


def test_a_name_with_colon_and_percent_is_just_a_name(kit) -> None:
    assert probe(kit.clip("plain.mp4").rename(kit.folder / "take 1: 100%d.mp4")).width == 96


def test_unspecified_colour_is_resolved_by_height() -> None:
    assert ColourInfo().resolved(480) == ColourInfo(matrix=6, range=1)
    assert ColourInfo().resolved(720) == ColourInfo(matrix=1, range=1)
    assert ColourInfo(matrix=9, range=2).resolved(480) == ColourInfo(matrix=9, range=2)


def fixed(a: float, b: float, c: float, d: float) -> tuple[int, ...]:
    one = 1 << 16
    return (round(a * one), round(b * one), 0, round(c * one), round(d * one), 0, 0, 0, 1 << 30)


EIGHT = [
    (fixed(1, 0, 0, 1), 0, False),
    (fixed(0, 1, -1, 0), 90, False),
    (fixed(-1, 0, 0, -1), 180, False),
    (fixed(0, -1, 1, 0), 270, False),
    (fixed(-1, 0, 0, 1), 0, True),
    (fixed(0, -1, -1, 0), 90, True),
    (fixed(1, 0, 0, -1), 180, True),
    (fixed(0, 1, 1, 0), 270, True),
]


@pytest.mark.parametrize(("matrix", "rotation", "mirrored"), EIGHT)
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(2), Fraction(1, 2)])
def test_the_display_transform_says_where_a_pixel_goes(
    matrix: tuple[int, ...], rotation: int, mirrored: bool, aspect: Fraction
) -> None:
    geometry = display_geometry(20, 12, aspect, matrix)
    assert (geometry.rotation, geometry.mirrored) == (rotation, mirrored)
    stored = np.zeros((12, 20, 3), np.float32)
    stored[3, 5] = 1
    shown = to_display(stored, geometry)
    assert shown.shape == (geometry.height, geometry.width, 3)
    weights = shown[..., 0] / shown[..., 0].sum()
    y, x = np.mgrid[0 : geometry.height, 0 : geometry.width]
    np.testing.assert_allclose(geometry.transform @ [5, 3, 1], [(x * weights).sum(), (y * weights).sum()], atol=1e-4)


def test_the_display_matrix_means_what_ffmpeg_means(kit) -> None:
    info = probe(kit.clip("a.mp4", display_matrix=fixed(0, 1, -1, 0), pts=(0,)))
    # FFmpeg's words for this matrix: rotate 90 degrees clockwise to see it upright.
    assert (info.display.rotation, info.display.width, info.display.height) == (90, 64, 96)
    picture = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96, 1)
    assert to_display(picture, info.display)[0, -1, 0] == picture[0, 0, 0]


def test_nothing_to_do_costs_nothing() -> None:
    picture = np.zeros((12, 20, 3), np.uint8)
    assert to_display(picture, display_geometry(20, 12, Fraction(1), None)) is picture
