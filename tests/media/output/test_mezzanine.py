"""Lossless segments that one run of the encoder makes the output of."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.jobs.worker import SegmentWorker
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from identity import checkered, stand_in

CENTRE = (80.0, 64.0)
SHORT = "output: {segment_frames: 8}\n"
JUMPS = (3, 33, 66, 101, 140, 500, 533, 1033, 1066, 1100, 1133, 1166, 1300, 1301, 1340, 1350, 1380, 1390, 1400, 1401)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


def reordered(path: Path) -> int:
    """How many packets come before one that is shown earlier."""
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    return sum(a > b for a, b in pairwise(times))


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("film.mp4", {"time_base": Fraction(1001, 24000), "rate": Fraction(24000, 1001)}),
        ("variable.mkv", {"pts": JUMPS, "time_base": Fraction(1, 1000), "rate": Fraction(30)}),
        ("late.mp4", {"pts": tuple(range(31, 55)), "sound": 1, "time_base": Fraction(1, 30), "rate": Fraction(30)}),
    ],
)
def test_what_is_encoded_once_has_b_frames_and_exact_times(
    kit, name: str, properties: dict, target: str, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = kit.clip(name, **properties)
    restore_video(source, kit.folder / target, config=short, mezzanine=True)
    ours, theirs = kit.times(kit.folder / target), kit.times(source)
    tick = Fraction(1, 1000) if target.endswith("mkv") else 0
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= tick
    assert kit.packets(kit.folder / target, "audio") == kit.packets(source, "audio")
    assert reordered(kit.folder / target) > 3


@pytest.mark.parametrize(
    ("codec", "target", "properties"),
    [
        ("hevc", "out.mp4", {"pixel_format": "yuv420p10le"}),
        ("vp9", "out.webm", {}),
        ("av1", "out.mkv", {}),
        ("h264", "out.mp4", {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}}),
    ],
)
def test_other_codecs_and_fields_are_encoded_once_too(
    kit, codec: str, target: str, properties: dict, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE)
    source = kit.clip("a.mkv", size=(160, 128), pts=tuple(range(0, 800, 40)), time_base=Fraction(1, 1000), **properties)
    restore_video(source, kit.folder / target, config=short, mezzanine=True, codec=codec, crf=10)
    info, original = probe(kit.folder / target), probe(source)
    assert (info.pixel_format, info.interlaced) == (original.pixel_format, original.interlaced)
    assert kit.times(info.path) == kit.times(source)
    for ours, theirs in zip(read_frames(info), read_frames(original), strict=True):
        assert np.abs(ours.rgb().astype(int) - theirs.rgb()).mean() < 3


def test_no_sample_outside_the_face_changes_before_the_last_encoding(
    kit, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source = kit.clip("a.mp4", size=(160, 128), options={"bf": "2"}, pts=tuple(range(10)))
    restore_video(source, kit.folder / "out.mkv", codec="h264", crf=0, mezzanine=True, config=short)
    count = 0
    for ours, theirs in zip(read_frames(probe(kit.folder / "out.mkv")), read_frames(probe(source)), strict=True):
        changed = ours.picture.to_ndarray()[:128] != theirs.picture.to_ndarray()[:128]
        count += changed.any()
        assert not changed[:16].any() and not changed[:, :20].any()
    assert count == 10


def test_an_interrupted_last_encoding_is_done_again_and_nothing_else(
    kit, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source, targets = kit.clip("a.mp4", size=(160, 128)), [kit.folder / "one.mp4", kit.folder / "two.mp4"]
    options = {"config": short, "mezzanine": True, "encoder_preset": "ultrafast"}

    def interrupt(stage: str, done: int, total: int | None) -> None:
        if stage == "assemble" and done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_video(source, targets[0], progress=interrupt, **options)
    segments = kit.folder / "one.mp4.job" / "segments"
    assert len(list(segments.glob("*.nut"))) == 3
    with monkeypatch.context() as patched:
        patched.setattr(SegmentWorker, "run", None)
        restore_video(source, targets[0], **options)
    restore_video(source, targets[1], **options)
    assert targets[0].read_bytes() == targets[1].read_bytes()
    left = sorted(p.name for p in kit.folder.iterdir() if p.suffix != ".zip")
    assert left == ["a.mp4", "one.mp4", "short.yaml", "two.mp4"]
