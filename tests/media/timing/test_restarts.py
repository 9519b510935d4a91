"""Recordings that were joined end to end: one time line, and the sound stays with its picture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_span
from dynface_video.media.timing.index import checksum
from dynface_video.media.timing.restarts import unwrap_timestamps

MPEG2 = {"codec": "mpeg2video", "options": {"g": "6", "bf": "2", "b": "300k"}, "sound": 1, "sound_codec": "mp2"}
FRAMES = 24


def joined(kit, name: str, offset: str) -> Path:
    """Three recordings in one file, the middle one with a clock that began so many seconds before."""
    first = kit.clip(name, **MPEG2)
    middle = kit.clip(f"middle-{name}", container_options={"output_ts_offset": offset}, **MPEG2)
    path: Path = kit.folder / f"joined-{name}"
    path.write_bytes(b"".join(part.read_bytes() for part in (first, middle, first)))
    return path


JOINED = pytest.mark.parametrize(
    ("name", "offset"), [(n, o) for n in ("a.ts", "a.mpg") for o in ("0", "7200", "90000")]
)


@JOINED
def test_recordings_joined_end_to_end_are_on_one_time_line(
    kit, name: str, offset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, warnings = joined(kit, name, offset), list[str]()
    info = probe(path)
    index = kit.index(info, warnings)
    assert len(index.pts) == 3 * FRAMES
    assert np.diff(index.pts).min() > 0 and np.diff(index.pts).max() <= 2 * info.step
    assert sum("clock restarts" in warning for warning in warnings) == 2
    whole = [picture.rgb() for picture in read_span(info, index, 0, 3 * FRAMES)]
    decoded: list[int] = []
    monkeypatch.setattr("dynface_video.media.io.read.checksum", lambda picture: decoded.append(1) or checksum(picture))
    for start in (20, 44, 66):
        decoded.clear()
        for frame in read_span(info, index, start, start + 3):
            np.testing.assert_array_equal(frame.rgb(), whole[frame.index])
        # Decoding began at a keyframe near it, although its time is there three times.
        assert len(decoded) <= 12


@JOINED
def test_sound_stays_with_its_picture_in_every_part(kit, name: str, offset: str) -> None:
    source = joined(kit, name, offset)
    passed = kit.through(source, kit.folder / "out.mkv")
    (packets,) = kit.packets(passed.target, "audio")
    assert packets == kit.packets(source, "audio")[0]
    with av.open(str(passed.target)) as container:
        sound = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]
    pictures = kit.times(passed.target)
    ahead = [sound[part * len(sound) // 3] - pictures[part * FRAMES] for part in range(3)]
    assert max(ahead) - min(ahead) <= Fraction(2, 25)
    assert sound[-1] - sound[0] == pytest.approx(float(pictures[-1] - pictures[0]), abs=0.1)


def test_one_wrong_time_is_no_new_clock(kit) -> None:
    path = kit.clip("a.ts", codec="mpeg2video", options={"g": "6", "bf": "0"})
    right = kit.index(probe(path))
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    # The time is in bytes 9 to 13 of the packet's header, which follows that of the transport stream.
    header = data.index(b"\x00\x00\x01\xe0", places[12])
    data[header + 9 : header + 14] = b"\x21\x00\x01\x00\x01"
    path.write_bytes(data)
    warnings: list[str] = []
    np.testing.assert_array_equal(kit.index(probe(path), warnings).pts, right.pts)
    assert len(warnings) == 1 and "a frame has no time" in warnings[0]


@dataclass
class Packet:
    """What of a packet counts here. time: seconds, its place in the file"""

    stream_index: int
    dts: int | None
    pts: int | None
    time_base: Fraction = Fraction(1, 10)


def placed(times: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """Stream (0: the pictures) and time, tenths of seconds, of packets in the file's order, on one line."""
    packets = [Packet(stream, time, time) for stream, time in times]
    line = unwrap_timestamps(packets, SimpleNamespace(index=0), "mpegts")  # type: ignore[arg-type]
    return [(packet.stream_index, packet.pts) for packet, _ in line]


@pytest.mark.parametrize(
    ("times", "pictures", "sound"),
    [
        pytest.param([(0, 0), (1, 0), (0, 5), (1, 5), (0, 10)], [0, 5, 10], [0, 5], id="no restart"),
        pytest.param([(0, 90), (1, 90), (0, 95), (0, 0), (1, 0), (0, 5)], [90, 95, 100, 105], [90, 100], id="back"),
        pytest.param([(0, 0), (1, 0), (0, 5), (0, 9000), (1, 9000), (0, 9005)], [0, 5, 10, 15], [0, 10], id="forward"),
        pytest.param([(0, 0), (1, 0), (0, 5), (0, 900), (1, 900)], [0, 5, 900], [0, 900], id="a gap"),
        pytest.param(
            [(0, 90), (1, 90), (0, 95), (1, 0), (1, 2), (0, 0)], [90, 95, 100], [90, 100, 102], id="sound first"
        ),
        pytest.param(
            [(0, 90), (1, 90), (0, 95), (0, 0), (0, 5), (0, 0), (1, 0), (0, 5)],
            [90, 95, 100, 105, 110, 115],
            [90, 110],
            id="a part without sound",
        ),
        pytest.param([(0, 50), (0, 55), (0, 9), (0, 65), (1, 60)], [50, 55, None, 65], [60], id="a slip"),
        pytest.param([(0, 50), (1, 50), (0, 55), (1, 9), (0, 60)], [50, 55, 60], [50, 9], id="a slip of the sound"),
    ],
)
def test_what_moves_and_what_stays(
    times: list[tuple[int, int | None]], pictures: list[int | None], sound: list[int]
) -> None:
    line = placed(times)
    assert [time for stream, time in line if stream == 0] == pictures
    assert [time for stream, time in line if stream == 1] == sound


def test_other_formats_are_left_alone() -> None:
    packets = [Packet(0, 90, 90), Packet(0, 0, 0)]
    line = list(unwrap_timestamps(packets, SimpleNamespace(index=0), "matroska,webm"))  # type: ignore[arg-type]
    assert line == [(packets[0], 0), (packets[1], 0)] and packets[1].pts == 0
