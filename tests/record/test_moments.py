"""What a record shows and measures: all of a clip, a bounded part of a film, nothing that is not restored yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynface_video.passes.analysis import Analysis
from dynface_video.record.moments import (
    EXCERPT_SECONDS,
    EXCERPTS,
    LEAST_PERIOD,
    MEASURED_FACES,
    PEOPLE,
    RUN,
    SHOTS,
    SKIPPED,
    Excerpt,
    best_frame,
    choose_moments,
)
from made_records import HEIGHT, RATE, made_analysis, made_skipped, made_track


def film() -> Analysis:
    frames = 40_000
    tracks = [made_track(n, 200 * n, 180, side=20 + n % 60) for n in range(190)]
    return made_analysis(tracks, frames, 300, made_skipped(400, frames))


def test_a_clip_is_kept_whole_and_small_faces_get_a_close_up() -> None:
    moments = choose_moments(
        made_analysis([made_track(0, 0, 72, side=100), made_track(1, 20, 40, side=30)], 72, 1), HEIGHT
    )
    assert moments.excerpts[0] == Excerpt(0, 72)
    assert [one.person for one in moments.excerpts] == [None, 2]


def test_a_third_of_a_clip_is_measured_in_runs_spread_over_all_of_it() -> None:
    runs = choose_moments(made_analysis([made_track(0, 0, 3 * LEAST_PERIOD)], 3 * LEAST_PERIOD, 1), HEIGHT).runs
    assert [run.stop - run.start for run in runs] == [RUN] * 3
    assert np.allclose(np.diff([run.start for run in runs]), LEAST_PERIOD, atol=1)


def test_a_short_face_is_measured_once() -> None:
    (run,) = choose_moments(made_analysis([made_track(0, 0, 5)], 72, 1), HEIGHT).runs
    assert (run.start, run.stop) == (0, 5)


def test_a_film_is_shown_and_measured_in_parts_of_bounded_size() -> None:
    analysis = film()
    moments = choose_moments(analysis, HEIGHT)
    assert len(moments.excerpts) == EXCERPTS
    assert all(one.stop - one.start == EXCERPT_SECONDS * RATE for one in moments.excerpts)
    assert len({one.person for one in moments.stills}) == PEOPLE
    assert len(moments.skipped) == SKIPPED and len(moments.shots) == SHOTS
    measured = sum(run.stop - run.start for run in moments.runs)
    assert MEASURED_FACES / 2 < measured <= MEASURED_FACES + PEOPLE * RUN
    assert len(moments.frames()) < 5000


def test_every_run_lies_within_its_track() -> None:
    analysis = film()
    tracks = {one.track.number: one.track for one in analysis.tracks}
    for run in choose_moments(analysis, HEIGHT).runs:
        assert tracks[run.track].start <= run.start < run.stop <= tracks[run.track].stop


def test_what_is_not_restored_yet_is_neither_measured_nor_excerpted() -> None:
    analysis = film()
    moments = choose_moments(analysis, HEIGHT, [(0, 1000)])
    assert moments.runs and max(run.stop for run in moments.runs) <= 1000
    assert moments.excerpts and max(one.stop for one in moments.excerpts) <= 1000
    assert all(still.frame < 1000 for still in moments.stills)


def test_a_face_that_is_not_selected_has_a_still_and_no_measure() -> None:
    moments = choose_moments(made_analysis([made_track(0, 0, 72, restore=False)], 72, 1), HEIGHT)
    assert moments.stills and not moments.runs


def test_the_best_frame_is_large_and_allowed() -> None:
    analyzed = made_track(0, 10, 30)
    analyzed.track.landmarks[20] *= 1.5
    allowed = np.ones(50, bool)
    assert best_frame(analyzed, allowed) == 30
    allowed[30] = False
    assert best_frame(analyzed, allowed) != 30
    assert best_frame(analyzed, np.zeros(50, bool)) is None


def test_skipped_faces_are_pictured_for_every_reason() -> None:
    analysis = film()
    kinds = {analysis.skipped_faces[n].reason.partition(":")[0] for n in choose_moments(analysis, HEIGHT).skipped}
    assert kinds == {"too small", "too short", "out of focus"}


def test_a_video_without_faces_has_moments_of_its_shots() -> None:
    moments = choose_moments(made_analysis([], 100, 4), HEIGHT)
    assert (moments.runs, moments.stills) == ((), ()) and len(moments.shots) == 4


def test_a_clip_in_which_nobody_is_restored_has_nothing_to_show_before_and_after() -> None:
    assert choose_moments(made_analysis([], 72, 1), HEIGHT).excerpts == ()
    left = replace(made_track(0, 0, 72), restore=False)
    assert choose_moments(made_analysis([left], 72, 1), HEIGHT).excerpts == ()
