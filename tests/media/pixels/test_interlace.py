"""Interlaced video: fields as pictures and back, and what the whole pass makes of it."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.config import load_preset
from dynface_video.errors import InputError
from dynface_video.jobs.record import open_record
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.write import choose_encoding
from dynface_video.media.pixels.interlace import first_fields, resolve_interlaced, split_fields, weave
from dynface_video.media.pixels.planes import Planes
from dynface_video.media.timing.index import checksum
from dynface_video.passes.analyze import progressive
from identity import checkered, stand_in

TOP_FIRST = {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}, "pts": tuple(range(8)), "size": (160, 128)}
BOTTOM_FIRST = TOP_FIRST | {"options": {"flags": "+ildct+ilme", "x264-params": "bff=1"}}
CENTRE = (80.0, 64.0)


def luma(frame) -> np.ndarray:
    return Planes(frame.picture, full=False).samples(0).astype(int)


@pytest.mark.parametrize("properties", [TOP_FIRST, BOTTOM_FIRST], ids=["top first", "bottom first"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le"])
def test_fields_that_are_woven_again_are_the_picture(kit, properties: dict, pixel_format: str) -> None:
    info = probe(kit.clip("a.mp4", **properties, pixel_format=pixel_format))
    count = 0
    for fields in split_fields(read_frames(info)):
        assert (fields.first.index, fields.second.index) == (2 * count, 2 * count + 1)
        assert not fields.first.picture.interlaced_frame
        own = 0 if fields.top_first else 1
        np.testing.assert_array_equal(luma(fields.first)[own::2], luma(fields.frame)[own::2])
        np.testing.assert_array_equal(luma(fields.second)[1 - own :: 2], luma(fields.frame)[1 - own :: 2])
        woven = weave(fields, fields.first.picture, fields.second.picture)
        assert checksum(woven) == checksum(fields.frame.picture)
        assert woven.interlaced_frame
        count += 1
    assert count == 8


def test_pictures_that_are_not_marked_come_through_where_asked(kit) -> None:
    info = probe(kit.clip("a.mp4", pts=tuple(range(6))))
    marked = list(first_fields(read_frames(info), marked_only=True))
    assert [f.index for f in marked] == list(range(6))
    assert [checksum(f.picture) for f in marked] == [checksum(f.picture) for f in read_frames(info)]
    assert [checksum(f.picture) for f in first_fields(read_frames(info), marked_only=False)] != [
        checksum(f.picture) for f in read_frames(info)
    ]


def test_interlaced_video_is_restored_by_field_and_stays_interlaced(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source, target = kit.clip("a.mp4", **TOP_FIRST), kit.folder / "out.mkv"
    result = restore_video(source, target, codec="ffv1")
    assert result.faces == 2 * result.frames == 16
    assert kit.times(target) == kit.times(source)
    for ours, theirs in zip(read_frames(probe(target)), read_frames(probe(source)), strict=True):
        changed = luma(ours) != luma(theirs)
        assert changed.sum() > 300
        assert not changed[:16].any() and not changed[:, :20].any()
    restore_video(source, kit.folder / "out.mp4")
    assert probe(kit.folder / "out.mp4").interlaced


def test_a_field_restored_to_itself_changes_nothing_wherever_segments_end(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, sharp=True)
    source, config = kit.clip("a.mp4", **TOP_FIRST), kit.folder / "short.yaml"
    config.write_text("output: {segment_frames: 3}\n")
    restore_video(source, kit.folder / "out.mkv", codec="ffv1", config=config)
    ours, theirs = kit.index(probe(kit.folder / "out.mkv")), kit.index(probe(source))
    np.testing.assert_array_equal(ours.checksums, theirs.checksums)


def test_deinterlaced_video_has_the_same_times_and_no_comb(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source, config = kit.clip("a.mp4", **TOP_FIRST), kit.folder / "short.yaml"
    config.write_text("output: {segment_frames: 3}\n")
    targets = [kit.folder / "whole.mkv", kit.folder / "cut.mkv"]
    restore_video(source, targets[0], codec="ffv1", interlaced="deinterlace")
    restore_video(source, targets[1], codec="ffv1", interlaced="deinterlace", config=config)
    wanted = [checksum(f.picture) for f in first_fields(read_frames(probe(source)), marked_only=True)]
    for target in targets:
        assert not probe(target).interlaced
        assert kit.times(target) == kit.times(source)
        assert [checksum(f.picture) for f in read_frames(probe(target))] == wanted


def test_the_record_shows_the_first_field_before_and_after(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE)
    source = kit.clip("a.mp4", **TOP_FIRST)
    restore_video(source, kit.folder / "out.mkv", codec="ffv1")
    excerpt = open_record(kit.folder / "out.mkv").media["excerpts/0.mp4"]
    with av.open(io.BytesIO(excerpt)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    info = probe(source)
    woven = next(read_frames(info)).rgb().astype(float)
    field = next(first_fields(read_frames(info), marked_only=False)).rgb().astype(float)
    combed = np.abs(field - woven) > 12
    assert combed.sum() > 100
    for half in np.split(shown, 2):
        assert np.abs(half - field)[combed].mean() < 0.7 * np.abs(half - woven)[combed].mean()


def test_marks_that_lie_can_be_ignored(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE)
    source = kit.clip("a.mp4", **TOP_FIRST)
    assert restore_video(source, kit.folder / "out.mp4", interlaced="ignore").faces == 8
    assert not probe(kit.folder / "out.mp4").interlaced


def test_marks_that_begin_later_are_told(kit) -> None:
    info, warnings = replace(probe(kit.clip("a.mp4", **TOP_FIRST)), interlaced=False), list[str]()
    settings = load_preset("mini")
    assert len(list(progressive(read_frames(info), info, settings, warnings))) == 8
    assert "8 pictures are marked as interlaced" in warnings[0] and "--interlaced keep" in warnings[0]


def test_progressive_pictures_in_interlaced_video_are_told(kit) -> None:
    info, warnings = probe(kit.clip("a.mp4", **TOP_FIRST)), list[str]()
    film = probe(kit.clip("b.mp4", pts=tuple(range(3)), size=(160, 128)))
    mixed = itertools.chain(read_frames(info), read_frames(film))
    assert len(list(progressive(mixed, info, load_preset("mini"), warnings))) == 11
    assert "3 pictures are marked as progressive" in warnings[0]


def test_a_codec_without_fields_is_refused_with_the_option_named(kit) -> None:
    info = probe(kit.clip("a.mp4", **TOP_FIRST))
    for codec, target in (("hevc", "x.mp4"), (None, "x.webm")):
        with pytest.raises(InputError, match="--interlaced deinterlace"):
            choose_encoding(info, Path(target), codec)
        assert not choose_encoding(info, Path(target), codec, interlaced=False).interlaced
    assert choose_encoding(replace(info, pixel_format="yuv420p10le"), Path("x.mp4")).codec == "libx264"


def test_tiny_interlaced_pictures_are_refused(kit) -> None:
    info = replace(probe(kit.clip("a.mp4", pts=(0,))), height=2, interlaced=True)
    with pytest.raises(InputError, match="--interlaced ignore"):
        resolve_interlaced(info, "auto")
    assert not resolve_interlaced(info, "ignore").interlaced
