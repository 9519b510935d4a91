"""Closed captions and other messages of coded pictures come out at their pictures, by every path and encoder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.media.io.probe import probe
from dynface_video.media.output.encoding import open_encoder
from dynface_video.media.output.picture_messages import (
    ATSC,
    T35,
    TIMECODE,
    UNREGISTERED,
    Message,
    messages_of,
    with_messages,
)
from identity import stand_in

COUNT = 30
DECODERS = {"libx264": "h264", "libx265": "hevc", "mpeg2video": "mpeg2video", "libsvtav1": "av1"}


def caption(number: int) -> bytes:
    """Caption bytes of a frame as decoders give them: two triplets, with zeros that need emulation prevention."""
    return bytes([0xFC, 0x80 | number, 0x20, 0xF9, 0, 0])


def messages(number: int) -> list[Message]:
    captions = ATSC + b"GA94\x03\xc2\xff" + caption(number) + b"\xff"
    return [Message(T35, captions), Message(T35, ATSC + b"DTG1\x41\xf8")]


def captioned(path: Path, encoder: str = "libx264", pixel_format: str = "yuv420p") -> Path:
    """A clip with captions and an active format description in every picture, some of them B-pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
        context = stream.codec_context
        context.gop_size, context.thread_count = 10, 1
        context.options = {
            "libx264": {"preset": "ultrafast", "bf": "2"},
            "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:bframes=2"},
            "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
        }.get(encoder, {"bf": "2"})
        open_encoder(context)
        for number in range(COUNT):
            rgb = np.full((64, 96, 3), 40 + 5 * number, np.uint8)
            rgb[:, 3 * number : 3 * number + 6] = 200
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            mux(container, stream, stream.encode(picture), encoder)
        mux(container, stream, stream.encode(None), encoder)
    return path


def mux(container: av.container.OutputContainer, stream: av.VideoStream, packets: list, encoder: str) -> None:
    for packet in packets:
        number = round(packet.pts * packet.time_base * 25)
        if encoder == "mpeg2video":
            data = bytes(packet)
            place = data.index(b"\x00\x00\x01\x01")
            user = b"".join(b"\x00\x00\x01\xb2" + message.payload[3:] for message in messages(number))
            changed = av.Packet(data[:place] + user + data[place:])
        else:
            changed = av.Packet(with_messages(bytes(packet), messages(number), DECODERS[encoder]))
        changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
        changed.is_keyframe, changed.stream = packet.is_keyframe, stream
        container.mux(changed)


def decoded(path: Path) -> list[tuple[bytes | None, bytes | None]]:
    """Caption bytes and active format of each picture, by FFmpeg's decoder."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            tuple(bytes(data) if data is not None else None for data in (get(frame, "A53_CC"), get(frame, "AFD")))
            for frame in container.decode(stream)
        ]


def get(frame: av.VideoFrame, kind: str):
    return frame.side_data.get(kind)


EXPECTED = [(caption(number), b"\x08") for number in range(COUNT)]


def test_the_clips_made_here_are_what_decoders_take_for_captions(kit) -> None:
    for encoder, name in (("libx264", "a.mkv"), ("libx265", "b.mkv"), ("mpeg2video", "c.mkv")):
        assert decoded(captioned(kit.folder / name, encoder)) == EXPECTED
    assert [captions for captions, _ in decoded(captioned(kit.folder / "d.mkv", "libsvtav1"))] == [
        captions for captions, _ in EXPECTED
    ]


@pytest.mark.parametrize(
    ("source", "encoder"),
    [("a.mp4", "libx264"), ("a.mkv", "libx265"), ("a.ts", "mpeg2video"), ("b.ts", "libx264"), ("a.mkv", "libsvtav1")],
)
@pytest.mark.parametrize(
    ("target", "codec"), [("out.mp4", "libx264"), ("out.mkv", "libx265"), ("av1.mkv", "libsvtav1")]
)
def test_captions_are_at_their_pictures(kit, source: str, encoder: str, target: str, codec: str) -> None:
    passed = kit.through(captioned(kit.folder / source, encoder), kit.folder / target, codec=codec)
    wanted = EXPECTED
    if "libsvtav1" in (codec, encoder):
        # FFmpeg's AV1 decoder tells captions only.
        assert [captions for captions, _ in decoded(passed.target)] == [captions for captions, _ in wanted]
    else:
        assert decoded(passed.target) == wanted
    assert not passed.report.left_out


@pytest.mark.parametrize("options", [{"mezzanine": True}, {"copy_untouched": True}, {"codec": "hevc"}, {}], ids=str)
@pytest.mark.parametrize("face", [True, False])
def test_every_path_keeps_captions(kit, options: dict, face: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=(48.0, 32.0) if face else None)
    source, target = captioned(kit.folder / "a.mp4"), kit.folder / "out.mkv"
    restore_video(source, target, **options)
    assert decoded(target) == EXPECTED


@pytest.mark.parametrize(("codec", "name"), [("ffv1", "ffv1"), ("vp9", "vp9")])
def test_what_a_codec_cannot_hold_is_named(kit, codec: str, name: str) -> None:
    passed = kit.through(captioned(kit.folder / "a.mkv"), kit.folder / "out.mkv", codec=codec)
    assert passed.report.warnings == (
        f"active format description of {COUNT} pictures is not in the output: {name} pictures cannot hold it",
        f"closed captions of {COUNT} pictures is not in the output: {name} pictures cannot hold it",
    )


def test_images_name_the_captions_that_they_cannot_hold(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    result = restore_video(captioned(kit.folder / "a.mkv"), kit.folder / "frames")
    assert any(f"closed captions of {COUNT} pictures" in warning for warning in result.warnings)


def test_hdr10_plus_is_kept_and_dolby_vision_named(kit) -> None:
    # A window of HDR10+ (SMPTE ST 2094-40) without curves: all numbers zero, of exactly the length that these take.
    hdr10_plus = b"\xb5\x00\x3c\x00\x01\x04\x01" + bytes(60)
    source = kit.clip(
        "a.mkv", codec="libx265", pixel_format="yuv420p10le", options={"x265-params": "log-level=none:bframes=0"}
    )
    changed = kit.folder / "b.mkv"
    with av.open(str(source)) as old, av.open(str(changed), "w") as new:
        stream = new.add_stream_from_template(old.streams[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.size:
                data = bytes(packet)
                sei = b"\x4e\x01\x04" + bytes([len(hdr10_plus)]) + escaped(hdr10_plus) + b"\x80"
                rpu = b"\x7c\x01\x19\x08"
                parts = b"".join(len(unit).to_bytes(4, "big") + unit for unit in (sei,))
                copy = av.Packet(parts + data + len(rpu).to_bytes(4, "big") + rpu)
                copy.pts, copy.dts, copy.time_base, copy.is_keyframe = packet.pts, packet.dts, packet.time_base, True
                copy.stream = stream
                new.mux(copy)
    passed = kit.through(changed, kit.folder / "out.mkv")
    assert [str(item) for item in passed.report.left_out] == [
        "Dolby Vision metadata of 24 pictures is not in the output: hevc pictures cannot hold it"
    ]
    with av.open(str(passed.target)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                (message,) = messages_of(bytes(packet), "hevc", 4)[0]
                assert message == Message(T35, hdr10_plus)
                assert message.name == "HDR10+ metadata"


def escaped(data: bytes) -> bytes:
    result = b""
    for byte in data:
        result += b"\x03" if result.endswith(b"\x00\x00") and byte <= 3 else b""
        result += bytes([byte])
    return result


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_any_payload_comes_back_from_a_picture(codec: str) -> None:
    slice_of = {"h264": b"\x65\x88\x80", "hevc": b"\x26\x01\xaf"}[codec]
    for payload in (b"", b"\x00" * 40, bytes(range(256)) * 2, b"\x00\x00\x01\x00\x00\x03\x00\x00"):
        message = Message(UNREGISTERED, b"0123456789abcdef" + payload)
        data = with_messages(b"\x00\x00\x00\x01" + slice_of, [message], codec)
        assert data.endswith(slice_of)
        assert messages_of(data, codec, 0)[0] == [message]
        assert with_messages(data, [message], codec) == data


def test_the_mark_of_an_encoder_is_not_carried(kit) -> None:
    with av.open(str(kit.clip("a.mkv"))) as container:
        data = next(bytes(packet) for packet in container.demux(video=0))
    assert b"x264" in data
    assert messages_of(data, "h264", 4)[0] == []
    assert not probe(kit.folder / "a.mkv").interlaced


def timecode(hours: int, minutes: int, seconds: int, frames: int) -> bytes:
    """A time code message of HEVC (ITU-T H.265, D.2.27)."""
    bits = f"01{1:b}0{0:05b}100{frames:09b}{seconds:06b}{minutes:06b}{hours:05b}{0:05b}"
    bits += "1"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize(("target", "codec"), [("out.mov", "libx264"), ("out.mkv", "libx264"), ("out.mkv", "libx265")])
def test_the_timecode_of_the_first_picture_becomes_that_of_the_file(kit, target: str, codec: str) -> None:
    source = kit.folder / "a.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=0"}
        packets = []
        for number in range(5):
            picture = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 50 * number, np.uint8), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            packets += stream.encode(picture.reformat(format="yuv420p"))
        for number, packet in enumerate([*packets, *stream.encode(None)]):
            code = timecode(10, 59, 7, 3 + number)
            marked = av.Packet(with_messages(bytes(packet), [Message(TIMECODE, code)], "hevc"))
            marked.pts, marked.dts, marked.time_base = packet.pts, packet.dts, packet.time_base
            marked.is_keyframe, marked.stream = packet.is_keyframe, stream
            container.mux(marked)
    assert probe(source).timecode == "10:59:07:03"
    passed = kit.through(source, kit.folder / target, codec=codec)
    with av.open(str(passed.target)) as container:
        found = {**container.metadata, **container.streams.video[0].metadata}
    assert {name.lower(): value for name, value in found.items()}["timecode"] == "10:59:07:03"
    if codec == "libx265":
        assert probe(passed.target).timecode == "10:59:07:03"
        assert not passed.report.left_out
    else:
        assert "timecode of 5 pictures" in passed.report.warnings[0]


def test_the_timecode_of_mpeg_groups_becomes_that_of_the_file(kit) -> None:
    source = kit.clip("a.mpg", codec="mpeg2video", options={"gop_timecode": "01:02:03:04"})
    assert probe(source).timecode == "01:02:03:04"
    assert probe(kit.clip("b.mpg", codec="mpeg2video")).timecode is None
    passed = kit.through(source, kit.folder / "out.mov")
    with av.open(str(passed.target)) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
