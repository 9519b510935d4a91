"""Files as archives have them: old and intermediate codecs in their own containers, whole and cut off."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.errors import InputError
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from identity import stand_in

BITS = {"b": "900000"}
FORMATS = [
    ("cinepak.avi", {"codec": "cinepak", "pixel_format": "rgb24", "sound": 1, "sound_codec": "pcm_s16le"}),
    ("indeo.avi", {"codec": "indeo3", "sound": 1, "sound_codec": "pcm_s16le"}),
    ("mjpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p", "sound": 1, "sound_codec": "pcm_s16le"}),
    ("tape.dv", {"codec": "dvvideo", "size": (720, 576)}),
    ("tape.avi", {"codec": "dvvideo", "size": (720, 576), "sound": 1, "sound_codec": "pcm_s16le"}),
    ("broadcast.ts", {"codec": "mpeg2video", "options": BITS | {"bf": "2"}, "sound": 1, "sound_codec": "mp2"}),
    ("disc.vob", {"codec": "mpeg2video", "options": BITS | {"bf": "2"}, "sound": 1, "sound_codec": "ac3"}),
    ("windows.wmv", {"codec": "wmv2", "options": BITS, "sound": 1, "sound_codec": "pcm_s16le"}),
    ("real.rm", {"codec": "rv20", "options": BITS, "size": (176, 144)}),
    ("flash.flv", {"codec": "flv", "options": BITS, "sound": 1, "sound_codec": "aac"}),
    ("phone.3gp", {"codec": "h263", "options": BITS, "size": (176, 144)}),
    ("master.mov", {"codec": "prores_ks", "pixel_format": "yuv422p10le", "sound": 1, "sound_codec": "pcm_s16le"}),
    ("master.mxf", {"codec": "dnxhd", "pixel_format": "yuv422p", "size": (1920, 1080), "options": {"b": "120M"}}),
    ("free.ogv", {"codec": "libtheora", "options": BITS, "sound": 1, "sound_codec": "libvorbis"}),
    ("web.webm", {"codec": "libvpx", "options": BITS, "sound": 1, "sound_codec": "libopus"}),
    ("new.mkv", {"codec": "libsvtav1", "options": {"preset": "10"}}),
    ("raw.avi", {"codec": "rawvideo", "pixel_format": "monow", "size": (96, 64)}),
    ("quicktime.mov", {"codec": "svq1", "pixel_format": "yuv410p"}),
    ("rle.mov", {"codec": "qtrle", "pixel_format": "rgb24"}),
    ("video1.avi", {"codec": "msvideo1", "pixel_format": "rgb555le"}),
    ("huffman.avi", {"codec": "huffyuv", "pixel_format": "yuv422p"}),
]


@pytest.mark.parametrize(("name", "properties"), FORMATS, ids=[name for name, _ in FORMATS])
def test_old_and_intermediate_formats_keep_count_times_and_sound(
    kit, name: str, properties: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        av.Codec(properties["codec"], "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this FFmpeg has no encoder for {properties['codec']}")
    stand_in(monkeypatch.setattr, centre=None)
    source, target = kit.clip(name, pts=tuple(range(8)), **properties), kit.folder / "out.mkv"
    result = restore_video(source, target, encoder_preset="ultrafast", crf=12, interlaced="ignore", codec="h264")
    ours, theirs = kit.times(target), kit.times(source)
    assert len(ours) == result.frames == len(theirs) == 8
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= Fraction(1, 1000)
    assert kit.packets(target, "audio") == kit.packets(source, "audio")
    for a, b in zip(read_frames(probe(target)), read_frames(probe(source)), strict=True):
        assert np.abs(a.rgb().astype(int) - b.rgb()).mean() < 6


def cut(path: Path, share: float) -> Path:
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return shorter


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.mpg", "a.flv"])
def test_a_file_that_was_cut_off_is_restored_up_to_there(kit, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    codec = {"a.avi": "mpeg4", "a.mpg": "mpeg1video", "a.flv": "flv"}.get(name, "libx264")
    source = cut(kit.clip(name, codec=codec, options={"g": "6"}, pts=tuple(range(75))), 0.55)
    result = restore_video(source, kit.folder / "out.mkv", encoder_preset="ultrafast")
    assert 20 < result.frames < 60
    assert len(kit.times(kit.folder / "out.mkv")) == result.frames
    # A stream of MPEG does not say how long it is.
    told = any("is it truncated or damaged?" in warning for warning in result.warnings)
    assert told == bool(result.missing) == (not name.endswith(("ts", "mpg")))


def test_an_mp4_without_its_index_is_a_clear_error(kit) -> None:
    source = cut(kit.clip("a.mp4", pts=tuple(range(50))), 0.6)
    with pytest.raises(InputError, match="truncated"):
        restore_video(source, kit.folder / "out.mkv")
