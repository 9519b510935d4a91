"""What an edit list hides stays out of the output: no packet of it is copied, whatever the container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.stream_copy import closed_spans, copy_segment
from edit_lists import with_edits
from identity import stand_in

ONE_EDIT = [(1.02, 1.82)]
SEVERAL = [(0.2, 0.6), (1.42, 2.14), (0.9, 1.1)]
PACKET = 1024 / 48000
WORDS = ((0.1, 0.3, "hidden before"), (1.1, 1.2, "shown"), (2.2, 2.4, "hidden after"))


def long_clip(kit, *, second_codec: str = "libx264") -> Path:
    """Three seconds of two videos, noise and subtitles; every packet differs from every other."""
    path = kit.folder / "long.mp4"
    rng = np.random.default_rng(3)
    with av.open(str(path), "w", container_options={"use_edts": "0"}) as container:
        videos = [container.add_stream(codec, rate=25) for codec in ("libx264", second_codec)]
        for video in videos:
            video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p" if video.codec.name == "mjpeg" else "yuv420p"
            video.codec_context.gop_size = 10
            video.options = {"bf": "0", "preset": "ultrafast"} if video.codec.name == "libx264" else {}
        sound = container.add_stream("aac", rate=48000, layout="mono")
        words = container.add_stream("mov_text")
        words.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
        words.time_base = words.codec_context.time_base = Fraction(1, 1000)
        for number in range(75):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8), format="rgb24")
            for video in videos:
                frame = picture.reformat(format=video.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(video.encode(frame))
        noise = av.AudioFrame.from_ndarray(rng.normal(0, 0.2, (1, 144000)).astype(np.float32), "fltp", "mono")
        noise.sample_rate, noise.pts, noise.time_base = 48000, 0, Fraction(1, 48000)
        container.mux(sound.encode(noise))
        for stream in (*videos, sound):
            container.mux(stream.encode(None))
        for start, stop, text in WORDS:
            packet = av.Packet(len(text).to_bytes(2, "big") + text.encode())
            packet.pts = packet.dts = round(start * 1000)
            packet.duration, packet.time_base, packet.stream = round((stop - start) * 1000), Fraction(1, 1000), words
            container.mux(packet)
    return path


def hidden(path: Path) -> list[bytes]:
    """The packets of a file that its edit lists hide and that are not shown by another edit."""
    shown, cut = set[bytes](), set[bytes]()
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size > 16:
                (cut if packet.is_discard else shown).add(bytes(packet))
    return sorted(cut - shown)


def sound_length(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("edits", [ONE_EDIT, SEVERAL], ids=["one", "several"])
def test_what_was_trimmed_away_is_in_no_output(kit, name: str, edits: list[tuple[float, float]]) -> None:
    source = with_edits(long_clip(kit), kit.folder / "trimmed.mp4", edits)
    passed = kit.through(source, kit.folder / name)
    secrets, content = hidden(source), passed.target.read_bytes()
    assert len(secrets) > 20
    assert not [secret for secret in secrets if secret in content]
    assert sound_length(passed.target) == pytest.approx(sound_length(source), abs=len(edits) * PACKET + 0.001)
    assert len(kit.times(passed.target)) == len(kit.times(source)) == len(list(read_frames(probe(source))))


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_no_sound_is_heard_from_before_the_cut(kit, name: str) -> None:
    source = with_edits(long_clip(kit), kit.folder / "trimmed.mp4", ONE_EDIT)
    with av.open(str(kit.through(source, kit.folder / name).target)) as container:
        first = next(container.decode(audio=0))
    assert 0 <= first.time < PACKET


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_words_that_are_shown_stay_and_the_others_go(kit, name: str) -> None:
    source = with_edits(long_clip(kit), kit.folder / "trimmed.mp4", ONE_EDIT)
    content = kit.through(source, kit.folder / name).target.read_bytes()
    assert b"shown" in content
    assert b"hidden" in source.read_bytes()
    assert b"hidden" not in content


def test_pictures_of_a_second_video_that_need_hidden_ones_are_dropped_and_named(kit) -> None:
    source = with_edits(long_clip(kit), kit.folder / "trimmed.mp4", ONE_EDIT)
    passed = kit.through(source, kit.folder / "out.mkv")
    assert "packets of video stream 1" in "\n".join(passed.report.warnings)
    with av.open(str(passed.target)) as container:
        times = [float(frame.time) for frame in container.decode(video=1)]
    # The next keyframe is frame 30, at 1.2 s; the edit begins at 1.02 s.
    assert times[0] == pytest.approx(0.18, abs=0.02)
    every_picture_alone = with_edits(long_clip(kit, second_codec="mjpeg"), kit.folder / "alone.mp4", ONE_EDIT)
    assert not kit.through(every_picture_alone, kit.folder / "all.mov").report.warnings


def test_priming_of_an_encoder_is_no_trimming(kit) -> None:
    source = kit.clip("a.mp4", sound=1)
    passed = kit.through(source, kit.folder / "out.mkv")
    assert kit.packets(passed.target, "audio") == kit.packets(source, "audio")


@pytest.mark.parametrize("edits", [ONE_EDIT, SEVERAL], ids=["one", "several"])
def test_copied_segments_hold_no_hidden_picture(kit, edits: list[tuple[float, float]]) -> None:
    source = with_edits(long_clip(kit), kit.folder / "trimmed.mp4", edits)
    info, index, secrets = probe(source), kit.index(probe(source)), hidden(source)
    spans = closed_spans(info, index)
    assert spans
    for start, stop in spans:
        copy_segment(kit.folder / "s.nut", info, index, start, stop)
        content = (kit.folder / "s.nut").read_bytes()
        assert not [secret for secret in secrets if secret[4:] in content]


@pytest.mark.parametrize("options", [{"mezzanine": True}, {"copy_untouched": True}, {"codec": "ffv1"}], ids=str)
def test_no_path_lets_hidden_packets_through(kit, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source, target = with_edits(long_clip(kit), kit.folder / "trimmed.mp4", SEVERAL), kit.folder / "out.mkv"
    result = restore_video(source, target, **options)
    content = target.read_bytes()
    assert not [secret for secret in hidden(source) if secret[4:] in content]
    assert result.frames == len(kit.times(target)) == len(kit.times(source))
