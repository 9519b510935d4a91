"""What is missing from a damaged file, told apart from what the decoder or the reader repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dynface_video.media.io import decode
from dynface_video.media.io.missing import MissingPictures
from dynface_video.media.io.probe import probe
from dynface_video.media.io.sequence import probe_images
from dynface_video.media.timing.index import FrameIndex

Change = Callable[[bytes], bytes]
OPTIONS = {"g": "10", "bf": "2"}
FAST = {"movflags": "faststart"}


def cut(share: float) -> Change:
    return lambda data: data[: int(share * len(data))]


def hole(data: bytes) -> bytes:
    start, stop = int(0.4 * len(data)), int(0.6 * len(data))
    return data[:start] + bytes(stop - start) + data[stop:]


def noise(data: bytes) -> bytes:
    start = int(0.4 * len(data))
    return data[:start] + np.random.default_rng(0).bytes(200) + data[start + 200 :]


@pytest.mark.parametrize(
    ("name", "codec", "change", "missing"),
    [
        ("a.mkv", "libx264", cut(1), False),
        ("a.mkv", "libx264", cut(0.97), False),
        ("a.mkv", "libx264", cut(0.6), True),
        ("a.mkv", "libx264", noise, False),
        ("a.mkv", "libx264", hole, True),
        ("a.mp4", "libx264", cut(0.97), False),
        ("a.mp4", "libx264", cut(0.6), True),
        ("a.mp4", "libx264", noise, False),
        ("a.mp4", "libx264", hole, True),
        ("a.avi", "mpeg4", cut(1), False),
        ("a.avi", "mpeg4", cut(0.6), True),
        ("a.mxf", "mpeg2video", cut(0.6), True),
        # It does not say how long it is.
        ("a.ts", "libx264", cut(0.6), False),
        ("a.ts", "libx264", hole, True),
        ("a.mpg", "mpeg1video", noise, False),
        ("a.mpg", "mpeg1video", hole, True),
    ],
)
def test_what_is_missing_is_told_apart_from_what_was_repaired(
    kit, name: str, codec: str, change: Change, missing: bool
) -> None:
    options = FAST if name.endswith("mp4") else {}
    path = kit.clip(
        name, codec=codec, size=(176, 144), pts=tuple(range(100)), options=OPTIONS, container_options=options
    )
    path.write_bytes(change(path.read_bytes()))
    index = kit.index(probe(path))
    assert bool(index.missing) == missing
    assert FrameIndex.from_json(index.to_json()).missing == index.missing


def test_the_seconds_that_are_missing_are_told(kit) -> None:
    path = kit.clip("a.mkv", codec="ffv1", pts=tuple(range(100)))
    path.write_bytes(cut(0.6)(path.read_bytes()))
    index = kit.index(probe(path))
    assert index.missing == f"{(100 - len(index.pts)) / 25:.1f} s of video is missing"


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_last_picture_that_is_shown_for_long_is_no_missing_end(kit, name: str) -> None:
    short, path = kit.clip(f"short-{name}", pts=tuple(range(25)), options={"bf": "0"}), kit.folder / name
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        packets = [packet for packet in source.demux(video) if packet.size]
        packets[-1].duration = int(3 / packets[-1].time_base)
        for packet in packets:
            packet.stream = copy
            target.mux(packet)
    info, warnings = probe(path), list[str]()
    assert info.duration > 3.5
    assert kit.index(info, warnings).missing == "" and not warnings


@pytest.mark.parametrize(("name", "sound_codec"), [("a.mkv", "aac"), ("a.flv", "aac")])
def test_sound_may_outlast_the_pictures(kit, name: str, sound_codec: str) -> None:
    long, path = kit.clip("long.mp4", pts=tuple(range(100)), sound=1, sound_codec=sound_codec), kit.folder / name
    with av.open(str(long)) as source, av.open(str(path), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            late = packet.stream.type == "video" and packet.pts is not None and packet.pts * packet.time_base >= 2
            if packet.size and not late:
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
    # Most muxers write no length of each stream.
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATIOX"))
    info, warnings = probe(path), list[str]()
    assert info.duration > 3.5
    index = kit.index(info, warnings)
    assert len(index.pts) == 50 and index.missing == "" and not warnings
    path.write_bytes(cut(0.7)(path.read_bytes()))
    assert kit.index(probe(path)).missing


@pytest.mark.parametrize(("name", "missing"), [("a.ts", "a part of the file cannot be read"), ("a.mkv", "")])
def test_a_part_that_cannot_be_read_counts_unless_the_file_tells_how_long_it_is(
    kit, monkeypatch: pytest.MonkeyPatch, name: str, missing: str
) -> None:
    real = decode.read_packets

    def read(container, streams, on_failure):
        yield from real(container, streams, on_failure)
        on_failure("Input/output error")

    monkeypatch.setattr(decode, "read_packets", read)
    assert kit.index(probe(kit.clip(name))).missing == missing


def test_an_image_of_a_sequence_that_cannot_be_read_is_missing(kit) -> None:
    for number in range(3):
        Image.effect_noise((64, 64), 40 + number).save(kit.folder / f"{number}.png")
    Path(kit.folder / "1.png").write_bytes((kit.folder / "1.png").read_bytes()[:1000])
    assert kit.index(probe_images(kit.folder, Fraction(24))).missing == "1 image cannot be read"


@pytest.mark.parametrize(("frames", "said"), [(12, ""), (13, "0.5 s of video is missing")])
def test_half_a_second_in_all_is_noticed(kit, frames: int, said: str) -> None:
    missing = MissingPictures(replace(probe(kit.clip("a.mp4")), frame_rate=Fraction(24), time_base=Fraction(1, 240)))
    for number in range(frames + 1):
        missing.see(10 * number, 0, repeated=number > 0, gaps_count=False)
    assert missing.describe() == said


def test_a_gap_counts_only_where_the_rate_does_not_explain_it(kit) -> None:
    missing = MissingPictures(replace(probe(kit.clip("a.mp4")), frame_rate=Fraction(24), time_base=Fraction(1, 240)))
    gaps = [missing.see(pts, 0, repeated=False, gaps_count=pts > 100) for pts in (0, 100, 110, 150)]
    assert gaps == [0, 0, 0, 3] and missing.seconds == Fraction(3, 24)
