"""Digests and segments."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from dynface_video.errors import InputError
from dynface_video.jobs.plan import Plan, Segment, cut_segments, file_digest


def make_plan(**changes: object) -> Plan:
    plan = Plan("film.mp4", "aa", {"restoration": {"strength": 0.5, "seed": 0}}, "mm", "0.1.0")
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 7, 99, 100, 139, 141, 1000])
def test_segments_cover_every_frame_once(count: int) -> None:
    segments = cut_segments(count, 100)
    assert [s.number for s in segments] == list(range(len(segments)))
    assert segments[0].start == 0 and segments[-1].stop == count
    assert all(a.stop == b.start for a, b in pairwise(segments))
    assert all(0 < s.stop - s.start <= 140 for s in segments)


def test_a_video_without_frames_has_no_segments() -> None:
    assert cut_segments(0, 100) == []


def test_cuts_move_to_a_good_place_nearby_but_not_far() -> None:
    assert cut_segments(300, 100, [0, 88, 170])[:2] == [Segment(0, 0, 88), Segment(1, 88, 170)]
    assert cut_segments(300, 100, [30])[0] == Segment(0, 0, 100)


def test_a_digest_sees_the_content_and_the_size(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"x" * 5000)
    b.write_bytes(b"x" * 5000)
    assert file_digest(a) == file_digest(b)
    b.write_bytes(b"x" * 4999 + b"y")
    assert file_digest(a) != file_digest(b)
    b.write_bytes(b"x" * 5001)
    assert file_digest(a) != file_digest(b)


def test_a_large_file_is_sampled_at_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = bytearray(40 << 20)
    path.write_bytes(content)
    before = file_digest(path)
    content[-1] = 1
    path.write_bytes(content)
    assert file_digest(path) != before


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        file_digest(tmp_path / "nowhere")


def test_a_moved_file_is_the_same_job() -> None:
    assert make_plan().digest() == make_plan(source="elsewhere.mp4").digest()
    assert make_plan().digest() != make_plan(model_digest="other").digest()


def test_differences_name_the_setting_and_both_values() -> None:
    other = make_plan(settings={"restoration": {"strength": 0.7, "seed": 0}}, input_digest="bb")
    differences = make_plan().differences(other)
    assert differences == ["the input's content", "restoration.strength (0.5 now, 0.7 before)"]
    assert make_plan().differences(make_plan()) == []
