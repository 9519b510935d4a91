"""Packets of the source between encoded segments: every byte as it was, every picture in its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.jobs.plan import cut_around
from dynface_video.media.io.probe import VideoInfo, probe
from dynface_video.media.io.read import read_frames, read_span
from dynface_video.media.output.assemble import assemble
from dynface_video.media.output.stream_copy import (
    closed_spans,
    copy_segment,
    free_number,
    parameter_set_number,
    parameter_sets,
    unsupported_reason,
)
from dynface_video.media.output.write import choose_encoding, write_segment
from dynface_video.media.timing.index import FrameIndex
from identity import checkered, stand_in

B_FRAMES = {"options": {"bf": "3", "g": "12", "preset": "medium"}, "pts": tuple(range(60))}


def pictures(path: Path) -> list[bytes]:
    """The coded pictures of each packet, without lengths, start codes and whatever is no picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size = parameter_sets(stream.codec_context.extradata).length_size
        found = []
        for packet in container.demux(stream):
            data, units, place = bytes(packet), [], 0
            while size and place < len(data):
                length = int.from_bytes(data[place : place + size], "big")
                units.append(data[place + size : place + size + length])
                place += size + length
            if not size:
                units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]
            if packet.size:
                found.append(b"".join(unit for unit in units if unit[0] & 31 in (1, 5)))
        return found


def joined(info: VideoInfo, index: FrameIndex, target: Path) -> list[tuple[int, int]]:
    """Every second run of frames copied, the others encoded; returns the runs."""
    settings = replace(choose_encoding(info, target, crf=4), parameter_set=parameter_set_number(info))
    spans, segments = closed_spans(info, index), []
    for number, (start, stop) in enumerate(spans):
        segments.append(target.with_name(f"{number}.nut"))
        if number % 2:
            assert copy_segment(segments[-1], info, index, start, stop) == stop - start
        else:
            write_segment(segments[-1], read_span(info, index, start, stop), info, settings)
    assemble(segments, info, target, index.pts)
    return spans


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_copied_packets_are_the_sources_and_decode_across_joints(kit, name: str, target: str) -> None:
    source = kit.clip(name, sound=1, **B_FRAMES)
    info = probe(source)
    index = kit.index(info)
    spans = joined(info, index, kit.folder / target)
    assert spans == [(start, start + 12) for start in range(0, 60, 12)]
    ours, theirs = pictures(kit.folder / target), pictures(source)
    decoded = kit.index(probe(kit.folder / target))
    for number, (start, stop) in enumerate(spans):
        assert (ours[start:stop] == theirs[start:stop]) == bool(number % 2)
        same = decoded.checksums[start:stop] == index.checksums[start:stop]
        assert same.all() if number % 2 else not same.all()
    tick = 0 if target != "out.mkv" else 0.001
    assert (
        max(abs(float(a - b)) for a, b in zip(kit.times(kit.folder / target), kit.times(source), strict=True)) <= tick
    )
    for one, other in zip(read_frames(probe(kit.folder / target)), read_frames(info), strict=True):
        assert np.abs(one.rgb().astype(int) - other.rgb()).mean() < 2


def test_spans_with_faces_are_encoded_and_the_others_copied(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    source, targets = kit.clip("a.mp4", size=(160, 128), **B_FRAMES), [kit.folder / "a.mkv", kit.folder / "b.mkv"]
    stand_in(monkeypatch.setattr, centre=None)
    restore_video(source, targets[0], copy_untouched=True)
    assert pictures(targets[0]) == pictures(source)
    stand_in(monkeypatch.setattr, centre=(80.0, 64.0), change=checkered)
    restore_video(source, targets[1], copy_untouched=True)
    assert pictures(targets[1])[:12] != pictures(source)[:12]
    assert kit.times(targets[1]) == kit.times(source)


def test_open_groups_and_damaged_ones_are_not_copied(kit) -> None:
    opened = {"options": {"bf": "3", "g": "12", "preset": "medium", "x264-params": "open-gop=1"}}
    info = probe(kit.clip("a.mp4", pts=tuple(range(60)), **opened))
    assert closed_spans(info, kit.index(info)) == [(0, 60)]
    info = probe(kit.clip("b.mp4", **B_FRAMES))
    index = replace(kit.index(info), repeated=frozenset({14}))
    assert closed_spans(info, index) == [(0, 12), (24, 36), (36, 48), (48, 60)]


def test_what_cannot_be_copied_is_encoded_and_said(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = kit.clip("a.mp4", codec="mpeg4", pts=tuple(range(6)))
    warnings = restore_video(source, kit.folder / "out.mp4", copy_untouched=True).warnings
    assert any("nothing was copied: only H.264" in warning for warning in warnings)
    info = probe(kit.clip("b.mp4", pts=tuple(range(6))))
    for change, reason in (({"codec": "libx265"}, "only H.264"), ({"pixel_format": "yuv422p"}, "pixel format")):
        assert reason in (unsupported_reason(info, replace(choose_encoding(info, Path("x.mp4")), **change)) or "")
    assert unsupported_reason(info, choose_encoding(info, Path("x.mp4"))) is None


def test_the_encoders_parameter_sets_have_a_number_of_their_own(kit) -> None:
    with av.open(str(kit.clip("a.mp4", options={"x264-params": "sps-id=1"}, pts=(0,)))) as container:
        sets = parameter_sets(container.streams.video[0].codec_context.extradata)
    assert len(sets.units) == 2 and free_number(sets) == 2


def test_segments_are_cut_around_what_is_copied() -> None:
    segments = cut_around([(0, 30), (130, 180)], 200, 50, good_cuts=[72])
    assert [(s.start, s.stop, s.copied) for s in segments] == [
        (0, 30, True), (30, 72, False), (72, 130, False), (130, 180, True), (180, 200, False)
    ]  # fmt: skip
    assert [s.number for s in segments] == list(range(5))
