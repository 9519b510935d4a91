"""No alarm about what is there, and names that people know."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.media.io.decode import DamageReport
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames


@pytest.mark.parametrize("source", ["a.mov", "a.mp4"])
@pytest.mark.parametrize("target", ["out.mov", "out.mp4", "out.mkv"])
def test_a_timecode_track_is_kept_without_an_alarm(kit, source: str, target: str) -> None:
    passed = kit.through(kit.clip(source, metadata={"timecode": "10:20:30:05"}), kit.folder / target)
    assert passed.report.warnings == ()
    with av.open(str(passed.target)) as container:
        tags = {**container.metadata, **container.streams.video[0].metadata}
        kinds = [stream.type for stream in container.streams]
    assert {name.lower(): value for name, value in tags.items()}["timecode"] == "10:20:30:05"
    assert kinds == (["video"] if target.endswith("mkv") else ["video", "data"])


def with_closed_captions(kit) -> Path:
    """A QuickTime file with a track of CEA-608 beside the pictures."""
    plain, path = kit.clip("plain.mov"), kit.folder / "captions.mov"
    captions = kit.folder / "words.scc"
    captions.write_text("Scenarist_SCC V1.0\n\n00:00:00:05\t9420 9420 94ad 94ad c8e5 ecec ef80 942c\n")
    with av.open(str(plain)) as video, av.open(str(captions)) as words, av.open(str(path), "w") as output:
        targets = [output.add_stream_from_template(c.streams[0], opaque=True) for c in (video, words)]
        for container, target in zip((video, words), targets, strict=True):
            for packet in container.demux():
                if packet.size:
                    packet.duration = packet.duration or 500
                    packet.stream = target
                    output.mux(packet)
    return path


def test_caption_tracks_have_the_name_that_people_know(kit) -> None:
    source = with_closed_captions(kit)
    assert [other.codec for other in probe(source).others] == ["eia_608"]
    passed = kit.through(source, kit.folder / "out.mkv")
    (warning,) = passed.report.warnings
    assert "eia_608" in warning and "cc_dec" not in warning
    kept = kit.through(source, kit.folder / "out.mov")
    assert kept.report.warnings == ()
    assert kit.packets(kept.target, "subtitle") == kit.packets(source, "subtitle")


def swapped_pairs(pts: int) -> int:
    """Times that go back at every second frame, as packed B-frames have them."""
    return pts + (1 if pts % 2 == 0 else -1)


def same(pts: int) -> int:
    return pts // 3 * 3


@pytest.mark.parametrize("disorder", [swapped_pairs, same])
def test_a_file_that_is_in_disorder_all_along_says_so_once(kit, disorder: Callable[[int], int]) -> None:
    source, broken = kit.clip("a.avi", codec="mpeg4", pts=tuple(range(60))), kit.folder / "b.nut"
    with av.open(str(source)) as old, av.open(str(broken), "w") as new:
        stream = new.add_stream_from_template(old.streams[0], opaque=True)
        stream.time_base = Fraction(1, 25)
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            packet.dts, packet.pts = number - 3, max(disorder(number), number - 3)
            packet.time_base, packet.stream = Fraction(1, 25), stream
            new.mux(packet)
    warnings: list[str] = []
    times = [frame.pts for frame in read_frames(probe(broken), on_warning=warnings.append)]
    assert len(times) >= 59
    assert (np.diff(times) > 0).all()
    assert 1 <= len(warnings) <= 4
    assert any("more places" in warning for warning in warnings)


def test_what_is_said_once_is_counted() -> None:
    told: list[str] = []
    report = DamageReport("a.avi", told.append)
    for number in range(40):
        report("times go back", Fraction(number), once=True)
        report("a frame is lost", Fraction(number)) if number < 3 else None
    report.close()
    assert told[0] == "a.avi at 0.000 s: times go back"
    assert len(told) == 5
    assert told[-1] == "a.avi: times go back: the same at 39 more places"


def samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("flt", stream.layout.name, stream.rate)
        frames = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "adpcm_ms"), ("a.avi", "adpcm_ima_wav")])
@pytest.mark.parametrize("target", ["out.mkv", "out.mp4", "out.mov"])
def test_sound_that_a_container_cannot_hold_is_kept_without_loss(kit, name: str, codec: str, target: str) -> None:
    source = kit.clip(name, codec="mpeg4", sound=1, sound_codec=codec)
    passed = kit.through(source, kit.folder / target)
    (kept,) = [item for item in passed.report.left_out if item.what.startswith("audio")]
    assert codec in str(kept) and "is in the output as" in str(kept) and "without loss" in str(kept)
    ours, theirs = samples(passed.target), samples(source)
    length = min(len(ours), len(theirs))
    assert abs(len(ours) - len(theirs)) <= 4096
    np.testing.assert_allclose(ours[:length], theirs[:length], atol=2**-22)
    with av.open(str(passed.target)) as new, av.open(str(source)) as old:
        starts = [next(c.decode(audio=0)).time for c in (new, old)]
    assert starts[0] == pytest.approx(starts[1], abs=0.002)


def test_sound_of_a_container_without_lossless_sound_is_named(kit) -> None:
    passed = kit.through(kit.clip("a.avi", codec="mpeg4", sound=1, sound_codec="adpcm_ms"), kit.folder / "out.webm")
    assert "adpcm_ms" in passed.report.warnings[0] and "is not in the output" in passed.report.warnings[0]
