"""Segments: exact, closed, repeatable; and which encoder a target gets."""

import os
import sys
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.errors import InputError
from dynface_video.media.io.probe import VideoInfo, probe
from dynface_video.media.io.read import Frame, read_frames
from dynface_video.media.output.encoding import followed_quality, open_encoder, set_up_encoder
from dynface_video.media.output.write import (
    EncodeSettings,
    choose_encoding,
    read_segment,
    segment_ticks,
    verify_segment,
    write_segment,
)


def quick(info: VideoInfo, codec: str | None = None, target: str = "x.mkv") -> EncodeSettings:
    settings = choose_encoding(info, Path(target), codec, None)
    return replace(settings, preset="ultrafast") if settings.codec in ("libx264", "libx265") else settings


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1", "vp9"])
@pytest.mark.parametrize("time_base", [Fraction(1001, 24000), Fraction(1, 1000), Fraction(1, 90000)])
def test_a_segment_holds_the_exact_times_and_stands_alone(kit, codec: str, time_base: Fraction) -> None:
    pts = (-7, 8, 40, 41, 45, 99, 100)
    # B-frames in the source, and its picture types, must not show in the segment.
    info = probe(kit.clip("a.mkv", codec="ffv1", pts=tuple(range(0, 280, 40)), time_base=Fraction(1, 1000)))
    info = replace(info, time_base=time_base)
    frames = [Frame(i, pts[i], time_base, f.picture, f.colour) for i, f in enumerate(read_frames(info))]
    path = kit.folder / "s.nut"
    assert write_segment(path, frames, info, quick(info, codec)) == 7
    assert verify_segment(path, pts, time_base)
    assert not verify_segment(path, pts[:-1], time_base)
    assert not verify_segment(path, [p + 1 for p in pts], time_base)
    assert [frame.pts for frame in read_segment(path, info, 0)] == list(pts)
    with av.open(str(path)) as container:
        assert [ticks for _, ticks in segment_ticks(container, time_base)] == list(pts)


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1", "vp9"])
def test_the_same_frames_give_the_same_bytes(kit, codec: str) -> None:
    info = probe(kit.clip("a.mp4", options={"bf": "2"}))
    paths = [kit.folder / name for name in ("one.nut", "two.nut")]
    for path in paths:
        write_segment(path, read_frames(info), info, quick(info, codec))
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_an_encoder_does_not_change_the_scheduling_of_the_process(kit) -> None:
    def policies() -> set[int]:
        found = set[int]()
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                found.add(os.sched_getscheduler(int(task.name)))
        return found

    info = probe(kit.clip("a.mp4"))
    context = av.CodecContext.create("libsvtav1", "w")
    set_up_encoder(context, info, quick(info, "av1"))
    before = policies()
    open_encoder(context)
    assert policies() == before


def test_a_segment_that_fails_leaves_nothing(kit) -> None:
    info = probe(kit.clip("a.mp4"))

    def failing() -> object:
        for frame in read_frames(info):
            if frame.index == 5:
                raise RuntimeError("out of luck")
            yield frame

    with pytest.raises(RuntimeError, match="out of luck"):
        write_segment(kit.folder / "s.nut", failing(), info, quick(info))
    assert [p.name for p in kit.folder.iterdir()] == ["a.mp4"]


def test_damaged_segments_do_not_verify(kit) -> None:
    info = probe(kit.clip("a.mp4"))
    path = kit.folder / "s.nut"
    write_segment(path, read_frames(info), info, quick(info))
    pts = [f.pts for f in read_frames(info)]
    assert verify_segment(path, pts, info.time_base)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not verify_segment(path, pts, info.time_base)
    path.write_bytes(b"")
    assert not verify_segment(path, pts, info.time_base)
    assert not verify_segment(kit.folder / "none.nut", pts, info.time_base)


@pytest.mark.parametrize(
    ("pixel_format", "target", "codec", "encoder", "chosen"),
    [
        ("yuv420p", "a.mp4", None, "libx264", "yuv420p"),
        ("yuvj420p", "a.mp4", None, "libx264", "yuv420p"),
        ("yuv422p", "a.mkv", None, "libx264", "yuv422p"),
        ("yuv420p10le", "a.mp4", None, "libx265", "yuv420p10le"),
        ("yuv444p12le", "a.mov", None, "libx265", "yuv444p12le"),
        ("yuv420p", "a.webm", None, "libvpx-vp9", "yuv420p"),
        ("gray", "a.mkv", None, "libx264", "gray"),
        ("gray12le", "a.mkv", "ffv1", "ffv1", "gray12le"),
        ("gbrp", "a.mkv", None, "libx264", "yuv444p"),
        ("rgb24", "a.mp4", None, "libx264", "yuv444p"),
        ("nv12", "a.mp4", "h264", "libx264", "yuv420p"),
        ("yuv411p", "a.mp4", None, "libx264", "yuv422p"),
        ("yuv420p16le", "a.mkv", "ffv1", "ffv1", "yuv420p16le"),
        ("yuva420p", "a.mp4", None, "libx264", "yuv420p"),
        ("yuv420p10le", "a.mkv", "AV1", "libsvtav1", "yuv420p10le"),
    ],
)
def test_the_encoding_keeps_depth_and_subsampling(
    kit, pixel_format: str, target: str, codec: str | None, encoder: str, chosen: str
) -> None:
    info = replace(probe(kit.clip("a.mp4", pts=(0,))), pixel_format=pixel_format)
    settings = choose_encoding(info, Path(target), codec, None)
    threads = 4 if encoder == "libx264" else 1
    assert (settings.codec, settings.pixel_format, settings.threads) == (encoder, chosen, threads)


@pytest.mark.parametrize(
    ("target", "codec", "crf", "problem"),
    [
        ("a.avi", None, None, "cannot keep every frame's exact time"),
        ("a", None, None, "cannot keep every frame's exact time"),
        ("a.webm", "h264", None, "webm cannot hold libx264"),
        ("a.mp4", "theora9", None, "no encoder 'theora9'"),
        ("a.mp4", "h264", 52, "0 to 51, not 52"),
        ("a.mp4", "aac", None, "does not encode video|cannot encode"),
    ],
)
def test_impossible_encodings_are_refused(kit, target: str, codec: str | None, crf: int | None, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        choose_encoding(probe(kit.clip("a.mp4", pts=(0,))), Path(target), codec, crf)


@pytest.mark.parametrize(
    ("codec", "bits", "more"),
    [
        ("h264", 0.12, 0),
        ("h264", 0.09, 1),
        ("h264", 0.001, 2),
        ("h264", 2.0, -3),
        ("hevc", 0.075, 0),
        ("mpeg2video", 0.27, 0),
        ("prores", 0.01, -3),
        ("h264", None, 0),
    ],
)
def test_the_quality_follows_the_source(kit, codec: str, bits: float | None, more: int) -> None:
    info = replace(probe(kit.clip("a.mp4", pts=(0,))), codec=codec, width=1920, height=1080, frame_rate=Fraction(25))
    info = replace(info, bit_rate=None if bits is None else round(bits * 1920 * 1080 * 25))
    assert followed_quality(info) == more
    assert choose_encoding(info, Path("a.mp4")).crf == 17 + more
    assert choose_encoding(info, Path("a.mp4"), crf=30).crf == 30


def test_the_bit_rate_is_that_of_the_video_alone(kit) -> None:
    alone, with_sound = kit.clip("a.mkv"), kit.clip("b.mkv", sound=3, sound_codec="pcm_s16le")
    with av.open(str(alone)) as container:
        size = sum(p.size for p in container.demux(video=0))
    for path in (alone, with_sound):
        assert probe(path).bit_rate == pytest.approx(8 * size / 0.96, rel=0.4)


def test_preset_and_pixel_format_are_taken_as_given(kit) -> None:
    info = probe(kit.clip("a.mp4", pts=(0,)))
    settings = choose_encoding(info, Path("a.mp4"), preset="slow", pixel_format="yuv444p")
    assert (settings.preset, settings.pixel_format) == ("slow", "yuv444p")
    with pytest.raises(InputError, match="cannot encode the pixel format 'bgr8'; it takes yuv420p"):
        choose_encoding(info, Path("a.mp4"), pixel_format="bgr8")
    with pytest.raises(InputError, match="libx264 has no preset 'hasty'; it has ultrafast") as refused:
        choose_encoding(info, Path("a.mp4"), preset="hasty")
    assert "avcodec" not in str(refused.value)


def test_an_encoder_without_its_hardware_is_refused(kit) -> None:
    info = probe(kit.clip("a.mp4", pts=(0,)))
    try:
        settings = choose_encoding(info, Path("a.mp4"), "h264_nvenc", None)
    except InputError as error:
        assert "it needs hardware" in str(error) or "no encoder" in str(error)
        assert "avcodec" not in str(error)
    else:
        assert settings.codec == "h264_nvenc"


def test_rgb_becomes_yuv_with_the_tags_to_read_it(kit) -> None:
    source = kit.clip(
        "a.mkv", codec="ffv1", pixel_format="bgr0", pts=tuple(range(0, 240, 40)), time_base=Fraction(1, 1000)
    )
    passed = kit.through(source, kit.folder / "out.mp4", crf=4)
    out = probe(passed.target)
    assert (out.colour.matrix, out.colour.resolved(64).range, out.pixel_format) == (6, 1, "yuv444p")
    for ours, theirs in zip(read_frames(out), read_frames(passed.info), strict=True):
        assert np.abs(ours.rgb().astype(int) - theirs.rgb()).mean() < 1.5


def test_encoder_threads_give_the_same_bytes_however_often(kit, tmp_path: Path) -> None:
    source = kit.clip("a.mp4", pts=tuple(range(0, 40 * 512, 512)))
    info = probe(source)
    settings = choose_encoding(info, Path("b.mp4"))
    assert settings.threads > 1
    # The same pictures in memory: decoded anew each time, one encoding in a hundred of so small a picture is different,
    # with a single thread as well.
    frames = list(read_frames(info))
    made = []
    for name in ("one.nut", "other.nut"):
        write_segment(tmp_path / name, frames, info, settings)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
