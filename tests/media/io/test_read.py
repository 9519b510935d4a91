"""Frames, their times, spans, and what happens to damaged files."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.errors import JobError
from dynface_video.media.io.decode import DecodedPicture
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_span
from dynface_video.media.timing.index import FrameIndex, checksum
from dynface_video.media.timing.timestamps import with_increasing_times

OPEN_GOP = {"bf": "3", "g": "8", "x264-params": "open-gop=1:scenecut=0:b-pyramid=normal:no-deblock=1", "preset": "fast"}
JUMPS = (5, 6, 9, 20, 21, 22, 60, 61, 90, 91, 92, 93, 140, 141, 142, 143, 144, 200, 201, 202, 203, 204, 205, 206)


def spans_match(path: Path, index: FrameIndex, length: int = 4) -> bool:
    info, frames = probe(path), len(index.pts)
    for start in range(0, frames, 3):
        stop = min(start + length, frames)
        got = list(read_span(info, index, start, stop))
        if [f.index for f in got] != list(range(start, stop)) or [f.pts for f in got] != index.pts[start:stop].tolist():
            return False
        if any(checksum(f.picture) != index.checksums[f.index] for f in got if f.index not in index.repeated):
            return False
    return True


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("constant.mp4", {}),
        ("film.mp4", {"time_base": Fraction(1001, 24000), "rate": Fraction(24000, 1001)}),
        ("variable.mkv", {"pts": JUMPS, "time_base": Fraction(1, 1000), "rate": Fraction(30)}),
        ("late.mp4", {"pts": tuple(range(100, 124))}),
        ("open_gop.mp4", {"options": OPEN_GOP}),
        ("open_gop.mkv", {"options": OPEN_GOP, "time_base": Fraction(1, 1000), "pts": tuple(range(0, 960, 40))}),
        ("open_gop.ts", {"options": OPEN_GOP}),
        ("old.mpg", {"codec": "mpeg1video", "options": {"bf": "2", "g": "8", "b": "300000"}}),
        ("old.avi", {"codec": "mpeg4", "options": {"bf": "2", "g": "8"}}),
        ("dvd.mpg", {"codec": "mpeg2video", "options": {"bf": "2", "g": "6"}, "sound": 1, "sound_codec": "mp2"}),
        ("web.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "10"}}),
    ],
)
def test_every_frame_comes_with_its_time_and_any_span_is_the_same(kit, name: str, properties: dict) -> None:
    path = kit.clip(name, **properties)
    warnings: list[str] = []
    index = kit.index(probe(path), warnings)
    assert [int(pts) * index.time_base for pts in index.pts] == kit.times(path)
    assert len(index.pts) == 24
    assert spans_match(path, index)
    assert not warnings


def test_a_span_begins_at_the_nearest_keyframe(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kit.clip("a.mp4", options={"g": "6", "bf": "0"})
    index, decoded = kit.index(probe(path)), []
    monkeypatch.setattr("dynface_video.media.io.read.checksum", lambda picture: decoded.append(1) or checksum(picture))
    list(read_span(probe(path), index, 20, 22))
    assert len(decoded) == 4


def test_a_wrong_seek_point_is_noticed_and_another_taken(kit) -> None:
    path = kit.clip("a.mp4", options={"g": "6", "bf": "2"})
    right = kit.index(probe(path))
    shifted = tuple(replace(p, entry=replace(p.entry, time=p.entry.time + 4096)) for p in right.seek_points)
    wrong = FrameIndex(right.pts, right.time_base, shifted, right.checksums)
    assert spans_match(path, wrong)


def test_a_file_that_changed_is_an_error(kit) -> None:
    path = kit.clip("a.mp4")
    index = kit.index(probe(path))
    kit.clip("a.mp4", pts=tuple(range(12)))
    with pytest.raises(JobError, match=r"frame 12 at 0\.480 s is not there any more"):
        list(read_span(probe(path), index, 10, 20))


def test_a_span_outside_the_video_is_an_error(kit) -> None:
    path = kit.clip("a.mp4")
    with pytest.raises(ValueError, match="the video has 24"):
        next(read_span(probe(path), kit.index(probe(path)), 20, 25))


def test_the_index_survives_json(kit) -> None:
    index = kit.index(probe(kit.clip("a.mkv", pts=JUMPS, time_base=Fraction(1, 1000), options={"g": "5"})))
    again = FrameIndex.from_json(index.to_json())
    np.testing.assert_array_equal(again.pts, index.pts)
    np.testing.assert_array_equal(again.checksums, index.checksums)
    assert (again.time_base, again.seek_points, again.repeated) == (index.time_base, index.seek_points, index.repeated)
    assert again.keyframes()[:3] == [0, 5, 10]


def test_a_constant_rate_takes_one_run_in_json(kit) -> None:
    assert kit.index(probe(kit.clip("a.mp4"))).to_json()["pts"] == [[0, 512, 24]]


def damage(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def packet_places(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libx265"])
@pytest.mark.parametrize("bframes", ["0", "2"])
def test_a_destroyed_packet_costs_little_and_no_time(kit, codec: str, bframes: str) -> None:
    path = kit.clip("a.mp4", codec=codec, options={"g": "8", "bf": bframes})
    times = kit.times(path)
    place, size = packet_places(path)[10]
    damage(path, lambda data: data.__setitem__(slice(place, place + size), bytes(size)))
    warnings: list[str] = []
    index = kit.index(probe(path), warnings)
    assert [int(pts) * index.time_base for pts in index.pts] == times
    # MPEG-4 decoders also drop the B-frames that refer to a lost picture.
    assert 1 <= len(index.repeated) <= 1 + int(bframes) * (codec == "mpeg4")
    assert any("cannot be decoded" in warning for warning in warnings)
    assert spans_match(path, index)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mpg", "a.ts"])
@pytest.mark.parametrize("seed", range(3))
def test_noise_in_the_middle_leaves_order_and_spans_intact(kit, name: str, seed: int) -> None:
    codec, options = ("mpeg1video", {"b": "400000"}) if name == "a.mpg" else ("libx264", {})
    path = kit.clip(name, codec=codec, options={"g": "8", "bf": "2", **options})
    random = np.random.default_rng(seed)

    def scratch(data: bytearray) -> None:
        start = int(len(data) * random.uniform(0.3, 0.7))
        data[start : start + 200] = random.bytes(200)

    damage(path, scratch)
    index = kit.index(probe(path))
    assert len(index.pts) >= 8
    assert (np.diff(index.pts) > 0).all()
    assert spans_match(path, index)


@pytest.mark.parametrize(
    ("name", "options"), [("a.mkv", {}), ("a.mp4", {"movflags": "faststart"}), ("a.ts", {}), ("a.avi", {})]
)
def test_a_truncated_file_gives_what_is_there(kit, name: str, options: dict[str, str]) -> None:
    path = kit.clip(name, pts=tuple(range(60)), container_options=options, options={"g": "10"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    warnings: list[str] = []
    index = kit.index(probe(path), warnings)
    assert 20 < len(index.pts) < 60
    assert spans_match(path, index)
    if name in ("a.mkv", "a.mp4"):
        assert any("truncated" in warning for warning in warnings)


def test_pictures_missing_from_a_fixed_rate_are_told(kit) -> None:
    path = kit.clip("a.mpg", codec="mpeg1video", options={"bf": "0", "g": "4"}, pts=(*range(10), *range(12, 24)))
    warnings: list[str] = []
    kit.index(probe(path), warnings)
    assert len(warnings) == 1
    assert warnings[0].endswith("s: frames missing here: 2")


def repaired(times: list[int | None], step: int) -> list[int]:
    pictures = (DecodedPicture(av.VideoFrame(2, 2), pts) for pts in times)
    return [pts for _, pts in with_increasing_times(pictures, step, lambda pts, what: None)]


@pytest.mark.parametrize(
    ("times", "result"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([7, 11, 900], [7, 11, 900]),
        ([0, None, 80], [0, 40, 80]),
        ([0, 40, 40, 120], [0, 40, 80, 120]),
        ([0, 40, 40, 80], [0, 40, 60, 80]),
        ([None, 40, 80], [0, 40, 80]),
        ([None, None, None], [0, 40, 80]),
        ([80, 0, 40, 200], [80, 120, 160, 200]),
        ([3, 3, 4], [3, 43, 83]),
        ([0, 40, 80, 40, 80, 120, 160], [0, 40, 80, 93, 106, 120, 160]),
        ([None, None, 41], [13, 27, 41]),
        ([80, *[0] * 20, 4000], [80, *range(120, 920, 40), 4000]),
    ],
)
def test_missing_and_repeated_times_are_replaced(times: list[int | None], result: list[int]) -> None:
    assert repaired(times, 40) == result


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((0, None, 80), [(40, "a frame has no time")]),
        ((None,) * 30, [(0, "frames have no times")]),
        (
            (0, 40, 0, 40, 80, 60, 100),
            [(53, "frames' times go back"), (90, "a frame's time is not after the one before")],
        ),
    ],
)
def test_repairs_are_told_once_for_all_that_follow_one_another(
    times: tuple[int | None, ...], told: list[tuple[int, str]]
) -> None:
    said: list[tuple[int, str]] = []
    pictures = (DecodedPicture(av.VideoFrame(2, 2), pts) for pts in times)
    list(with_increasing_times(pictures, 40, lambda pts, what: said.append((pts, what))))
    assert said == told
