"""The result of the first pass as a file: written, read back, edited, damaged."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynface_video.errors import JobError
from dynface_video.passes.analysis import Analysis, unrestored_warning
from dynface_video.passes.choosing import resolve
from dynface_video.passes.people import Person
from dynface_video.tracking.observation import HIDDEN, SkippedFace
from short_analysis import short_analysis


@pytest.fixture
def analysis() -> Analysis:
    return short_analysis(Person(1, np.float32([0.6, 0.8])))


def test_an_analysis_is_read_back_as_written(analysis: Analysis, tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.json")
    loaded = Analysis.load(tmp_path / "a.json")
    np.testing.assert_array_equal(loaded.frames.pts, analysis.frames.pts)
    np.testing.assert_array_equal(loaded.tracks[0].track.landmarks, analysis.tracks[0].track.landmarks)
    np.testing.assert_array_equal(loaded.tracks[0].levels, analysis.tracks[0].levels)
    assert loaded.tracks[0].grey and loaded.shots == analysis.shots
    assert loaded.skipped_faces == analysis.skipped_faces and loaded.warnings == analysis.warnings
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert [one.number for one in loaded.people] == [one.person for one in loaded.tracks] == [1]
    np.testing.assert_array_equal(loaded.people[0].vector, analysis.people[0].vector)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_the_file_tells_of_each_person_in_a_line(analysis: Analysis, tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.json")
    (line,) = [line for line in (tmp_path / "a.json").read_text().splitlines() if '"best_frame"' in line]
    told = json.loads(line)
    assert {name: told[name] for name in ("number", "restore", "tracks", "times", "frames")} == {
        "number": 1, "restore": True, "tracks": [0], "times": [[0.08, 0.32]], "frames": 6,
    }  # fmt: skip


def test_a_person_that_is_not_to_be_restored_takes_its_tracks_along(analysis: Analysis, tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.json")
    edit(tmp_path / "a.json", lambda raw: raw["people"][0].update(restore=False))
    loaded = resolve(Analysis.load(tmp_path / "a.json"))
    assert [track.restore for track in loaded.tracks] == [False]
    assert loaded.faces_in(0, 20) == [] and not loaded.summarize_people()[0].restore


def test_a_person_without_a_truth_value_is_named(analysis: Analysis, tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.json")
    edit(tmp_path / "a.json", lambda raw: raw["people"][0].update(restore="no"))
    with pytest.raises(JobError, match="person 1: restore is 'no'"):
        Analysis.load(tmp_path / "a.json")


def test_a_face_behind_another_is_told_but_not_counted_among_those_left_alone(analysis: Analysis) -> None:
    behind = SkippedFace(6, 9, (10.0, 12.0), 9.5, HIDDEN)
    more = dataclasses.replace(analysis, skipped_faces=(*analysis.skipped_faces, behind))
    assert (len(more.skipped_faces), more.skipped_face_count) == (2, 1)


def test_a_source_without_restored_faces_is_told_why() -> None:
    assert unrestored_warning(Counter()) == "no face was found"
    reasons = Counter({"too small": 1, "too short": 2})
    assert unrestored_warning(reasons) == ("no face was restored: 3 skipped (2 too short, 1 too small)")


def test_reasons_for_skipping_are_counted_by_their_kind(analysis: Analysis) -> None:
    small = [
        SkippedFace(3, 5, (1.0, 2.0), side, f"too small: {side:.0f} pixels of at least 24") for side in (9.0, 11.0)
    ]
    hidden = SkippedFace(6, 9, (10.0, 12.0), 9.5, HIDDEN)
    unselected = tuple(dataclasses.replace(track, restore=False) for track in analysis.tracks)
    more = dataclasses.replace(analysis, tracks=unselected, skipped_faces=(*small, hidden))
    assert more.skip_reasons == {"too small": 2, "not selected for restoration": 1}


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99}'])
def test_a_damaged_analysis_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(JobError, match="--restart"):
        Analysis.load(tmp_path / "a.json")


def test_an_edited_analysis_must_fit_together(analysis: Analysis, tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.json")
    raw = json.loads((tmp_path / "a.json").read_text())
    raw["tracks"][0]["levels"][0].pop()
    (tmp_path / "a.json").write_text(json.dumps(raw))
    with pytest.raises(JobError, match=r"6 frames; its levels have shape \(1, 5\)"):
        Analysis.load(tmp_path / "a.json")


def test_a_repeat_has_the_face_of_its_runs_first_frame_or_of_the_tracks(analysis: Analysis, tmp_path: Path) -> None:
    replace(analysis, repeats=((0, 4), (6, 20))).save(tmp_path / "a.json")
    loaded = Analysis.load(tmp_path / "a.json")
    one = loaded.tracks[0]
    assert (one.track.start, one.track.stop) == (2, 8)
    assert [loaded.face_frame(one, frame) for frame in range(2, 8)] == [2, 2, 4, 5, 6, 6]
    still = replace(loaded, repeats=((0, 20),))
    assert [still.face_frame(one, frame) for frame in range(2, 8)] == [2] * 6
    shown = replace(one, track=replace(one.track, shown=np.array([0, 0, 0.5, 1, 1, 0])))
    assert [still.face_frame(shown, frame) for frame in range(2, 8)] == [2, 2, 4, 4, 4, 7]
    varied = replace(one, strengths=np.array([np.nan, np.nan, 0.4, 0.4, np.nan, np.nan]))
    assert [still.face_frame(varied, frame) for frame in range(2, 8)] == [2, 2, 4, 4, 6, 6]


@pytest.mark.parametrize("repeats", [[[3, 4]], [[2, 6], [5, 9]], [[18, 25]], [[-2, 3]]])
def test_repeats_that_are_no_runs_are_refused(analysis: Analysis, repeats: list[list[int]], tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.json")
    edit(tmp_path / "a.json", lambda raw: raw.update(repeats=repeats))
    with pytest.raises(JobError, match="repeats"):
        Analysis.load(tmp_path / "a.json")
