"""Who of an analysis is restored, when and how strongly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.config import load_settings
from dynface_video.errors import InputError, JobError, SelectionError
from dynface_video.faces.align import template
from dynface_video.jobs.directory import segment_digest
from dynface_video.jobs.plan import Plan, Segment
from dynface_video.media.io.read import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes import networks
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import check_times, choose, resolve, with_strengths
from dynface_video.passes.networks import analyze_with
from dynface_video.passes.people import Person
from dynface_video.passes.reference import matching_people
from dynface_video.pipeline import FacePipeline
from dynface_video.tracking.observation import FADE_FRAMES, FaceTrack

RATE, FRAMES = 10, 100


def analyzed(number: int, start: int, stop: int, person: int) -> AnalyzedTrack:
    length = stop - start
    landmarks = np.repeat(template(60)[None], length, axis=0).astype(np.float32)
    track = FaceTrack(number, start, landmarks, np.ones(length, bool), np.ones(length, np.float32))
    return AnalyzedTrack(
        track, np.full((1, length), 0.04), np.full((1, length), 400), grey=False, person=person
    )  # fmt: skip


@pytest.fixture
def analysis() -> Analysis:
    index = FrameIndex(np.arange(FRAMES, dtype=np.int64) + 7, Fraction(1, RATE), (), np.zeros(FRAMES, np.uint32))
    tracks = (analyzed(0, 0, 100, 1), analyzed(1, 0, 50, 2), analyzed(2, 50, 100, 2))
    people = (Person(1, np.float32([1, 0])), Person(2, np.float32([0, 1])))
    return Analysis(index, (Shot(0, 50), Shot(50, 100)), tracks, (), (), people)


def chosen(analysis: Analysis, **overrides: Any) -> dict[int, np.ndarray]:
    """How much of each track is shown, (T,) in [0, 1], by its number; tracks that are not restored are left out."""
    resolved = resolve(choose(analysis, load_settings("mini", None, overrides).selection))
    return shown(resolved)


def shown(resolved: Analysis) -> dict[int, np.ndarray]:
    return {
        one.track.number: np.array([one.track.shown_at(at) for at in range(len(one.track.landmarks))])
        for one in resolved.tracks
        if one.restore
    }


def test_everybody_is_restored_unless_told_otherwise(analysis: Analysis) -> None:
    assert {number: own.min() for number, own in chosen(analysis).items()} == {0: 1, 1: 1, 2: 1}


def test_a_person_is_chosen_or_left_out_in_all_tracks(analysis: Analysis) -> None:
    assert set(chosen(analysis, faces="2")) == {1, 2}
    assert set(chosen(analysis, faces="1,2")) == {0, 1, 2}
    assert set(chosen(analysis, exclude="2")) == {0}
    assert not chosen(analysis, faces="2", exclude="2")


def test_the_largest_face_of_each_shot_is_chosen(analysis: Analysis) -> None:
    assert set(chosen(analysis, faces="largest")) == {0, 2}


def test_a_person_who_is_not_there_is_named(analysis: Analysis) -> None:
    for overrides in ({"faces": "3"}, {"exclude": "3@1-2"}, {"strengths": "3=0.1"}):
        with pytest.raises(InputError, match=r"person 3 is not in the video, it has people 1 to 2"):
            chosen(analysis, **overrides)


@pytest.mark.parametrize("name", ["between", "exclude", "strengths"])
def test_a_time_after_the_end_is_told_with_the_end(analysis: Analysis, name: str) -> None:
    form = {"between": "{}", "exclude": "2@{}", "strengths": "1=0.3@{}"}[name]
    for span, known in (("00:03-00:09", True), ("00:20-00:30", False)):
        selection = load_settings("mini", None, {name: form.format(span)}).selection
        if known:
            check_times(analysis, selection)
            continue
        with pytest.raises(InputError, match="no frame lies between 00:20-00:30; the last frame of the video is at"):
            check_times(analysis, selection)


def test_nothing_is_shown_outside_the_spans_and_faces_fade_inside_them(analysis: Analysis) -> None:
    own = chosen(analysis, between="2-4,6-")[0]
    assert not own[:20].any() and not own[40:60].any()
    ramp = np.arange(1, FADE_FRAMES + 1) / FADE_FRAMES
    np.testing.assert_allclose(own[20:25], ramp)
    np.testing.assert_allclose(own[35:40], ramp[::-1])
    assert (own[25:35] == 1).all() and (own[64:] == 1).all()


def test_a_track_outside_all_spans_is_not_restored(analysis: Analysis) -> None:
    assert set(chosen(analysis, between="5-")) == {0, 2}


def test_one_person_is_taken_back_for_a_while(analysis: Analysis) -> None:
    own = chosen(analysis, exclude="1@2-3")
    assert not own[0][20:30].any() and own[0][:10].all() and (own[1] == 1).all()


def test_frames_outside_the_choice_hold_no_face(analysis: Analysis) -> None:
    resolved = resolve(choose(analysis, load_settings("mini", None, {"faces": "1", "between": "2-4"}).selection))
    assert [len(resolved.faces_in(*span)) for span in ((0, 20), (20, 40), (39, 40), (40, 100))] == [0, 1, 1, 0]


def test_strengths_hold_for_people_and_spans(analysis: Analysis) -> None:
    selection = load_settings("mini", None, {"strengths": "2=0.4,all=0.1@1-2"}).selection
    first, second, third = (one.strengths for one in resolve(choose(analysis, selection)).tracks)
    assert first is not None and np.isnan(first[:10]).all() and (first[10:20] == 0.1).all()
    assert second is not None and second[9] == 0.4 and second[10] == 0.1
    assert third is not None and (third == 0.4).all()


def test_a_choice_can_be_written_edited_and_read(analysis: Analysis, tmp_path: Path) -> None:
    options = {"faces": "1", "between": "1-", "strengths": "1=0.3,1=0.2@2.125-3", "exclude": "1@8-9"}
    before = choose(analysis, load_settings("mini", None, options).selection)
    before.save(tmp_path / "a.json")
    raw = json.loads((tmp_path / "a.json").read_text())
    assert raw["between"] == ["00:01-"] and [one["restore"] for one in raw["people"]] == [True, False]
    assert raw["spans"][1] == {"people": [1], "time": "00:02.125-00:03", "restore": True, "strength": 0.2}
    after = Analysis.load(tmp_path / "a.json")
    assert (after.rules, after.between, after.strength) == (before.rules, before.between, before.strength)
    for one, other in zip(resolve(before).tracks, resolve(after).tracks, strict=True):
        np.testing.assert_array_equal(one.strengths, other.strengths)

    raw["people"][1]["restore"], raw["spans"] = True, [{"time": "5-7", "people": [2], "restore": False}]
    (tmp_path / "a.json").write_text(json.dumps(raw))
    edited = shown(resolve(Analysis.load(tmp_path / "a.json")))
    assert not edited[2][:20].any() and edited[2][20:].all() and not edited[0][:10].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"between": ["1:30"]}, "is not a span"),
        ({"spans": [{"when": "1-2"}]}, "a span has the entry 'when'"),
        ({"spans": [{"time": "1-2", "strength": 2}]}, "strength is 2, it must be a number from 0 to 1"),
        ({"strength": None}, "strength is None"),
    ],
)
def test_a_choice_that_cannot_be_read_is_named(
    analysis: Analysis, change: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    analysis.save(tmp_path / "a.json")
    raw = json.loads((tmp_path / "a.json").read_text()) | dict(change)
    (tmp_path / "a.json").write_text(json.dumps(raw))
    with pytest.raises(JobError, match=message):
        Analysis.load(tmp_path / "a.json")


def test_choices_add_to_what_the_file_says(analysis: Analysis) -> None:
    first = choose(analysis, load_settings("mini", None, {"exclude": "2"}).selection)
    assert set(chosen(first, between="0-5")) == {0}
    assert set(chosen(first, faces="1,2")) == {0, 1, 2}


def test_a_segment_is_named_by_its_strengths(analysis: Analysis) -> None:
    plan, segment = Plan("a", "b", {}, "c", "d"), Segment(0, 0, 30)
    names = {
        segment_digest(plan, segment, resolve(choose(analysis, load_settings("mini", None, options).selection)))
        for options in ({}, {"strengths": "1=0.1"}, {"strengths": "1=0.1@2-3"}, {"exclude": "1@2-3"})
    }
    assert len(names) == 4


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline.from_settings(load_settings("mini", None, {"device": "cpu"}))


def test_starting_steps_follow_the_strength_of_every_frame(analysis: Analysis, pipeline: FacePipeline) -> None:
    selection = load_settings("mini", None, {"strengths": "1=0@2-3,2=1"}).selection
    first, second, _ = with_strengths(resolve(choose(analysis, selection)), pipeline).tracks
    assert (first.starting_steps[0, 20:30] == 0).all() and (first.starting_steps[0, 30:] == 400).all()
    expected = pipeline.stages[0].table_steps(np.array([0.04]), 1.0)[0]
    assert expected > 400 and (second.starting_steps == expected).all()


def test_the_steps_of_the_analysis_are_kept_at_its_own_strength(analysis: Analysis, pipeline: FacePipeline) -> None:
    same = with_strengths(resolve(analysis), pipeline)
    assert all((one.starting_steps == 400).all() for one in same.tracks)
    weaker = with_strengths(resolve(analysis), pipeline.with_settings(strength=0.3))
    expected = pipeline.stages[0].table_steps(np.array([0.04]), 0.3)[0]
    assert expected != 400 and all((one.starting_steps == expected).all() for one in weaker.tracks)


def test_the_levels_of_the_sampler_follow_each_faces_strength(pipeline: FacePipeline) -> None:
    stage = pipeline.stages[0]
    levels = np.array([0.03, 0.03])
    own = stage.effective_blur_levels(levels, np.array([0.3, 0.6]))
    assert own[1] == pytest.approx(2 * own[0]) == pytest.approx(stage.effective_blur_levels(levels)[0])


def test_the_people_of_a_reference_are_those_who_are_like_it(analysis: Analysis) -> None:
    assert matching_people(analysis, np.float32([0.6, 0.8]), 0.7) == (2,)
    with pytest.raises(InputError, match=r"the most similar is person 2 \(0\.80\), 0\.90 is needed"):
        matching_people(analysis, np.float32([0.6, 0.8]), 0.9)
    with pytest.raises(InputError, match="another identity network"):
        matching_people(analysis, np.float32([1, 0, 0]), 0.7)
    without = dataclasses.replace(analysis, people=(Person(1), Person(2)))
    with pytest.raises(InputError, match="does not hold the people's vectors"):
        matching_people(without, np.float32([1, 0]), 0.7)


@pytest.mark.parametrize("wrong", [{"faces": "7"}, {"between": "59:00-59:10"}])
def test_an_analysis_goes_with_the_error_of_a_choice_unless_it_is_kept_elsewhere(
    wrong: dict[str, Any], analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "analyze", lambda *given, **named: analysis)
    models: Any = SimpleNamespace(detector=None, locator=None, pipeline=None, identifier=None)
    info: Any = SimpleNamespace(duration=None, format_name="mpeg")
    settings, kept = load_settings("mini", None, wrong), tmp_path / "found.json"
    with pytest.raises(SelectionError) as caught:
        analyze_with(models, info, settings)
    assert caught.value.found is analysis
    # Workers raise it in other processes: there it holds no analysis.
    with pytest.raises(SelectionError) as caught:
        analyze_with(models, info, settings, kept=kept)
    assert caught.value.found is None and kept.exists()
