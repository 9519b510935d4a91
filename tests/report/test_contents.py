"""What the page says, and the paths of its plots."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dynface_video.config.choice import Rule
from dynface_video.config.times import TimeSpan
from dynface_video.passes.people import Person
from dynface_video.record.archive import Record
from dynface_video.report.contents import contents
from dynface_video.report.page import render_page
from made_records import made_analysis, made_record, made_skipped, made_track


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    tracks = [made_track(0, 0, 72), made_track(1, 24, 24, side=60), made_track(2, 30, 40, restore=False)]
    return made_record(made_analysis(tracks, 72, 2, made_skipped(5, 72)), tmp_path_factory.mktemp("record"))


def test_a_person_is_told_by_levels_steps_and_measures(record: Record) -> None:
    person = contents(record)["people"][0]
    facts = {fact.name: fact.value for fact in person["facts"]}
    track = record.analysis.tracks[0]
    assert facts["Blur level"] == f"{100 * track.levels[0].mean():.2f} %"
    assert facts["Flicker"] == "1.50 → 1.25" and facts["Landmark motion"] == "1.00 → 0.75"
    assert facts["Identity distance"] == "0.100"
    assert len(person["stills"]) == 3


def test_who_was_not_selected_is_told_and_not_plotted(record: Record) -> None:
    page = render_page(record)
    assert "not selected for restoration" in page and page.count('class="person"') == 3
    left = page[page.index('id="person-3"') : page.index('id="shots-section"')]
    assert "not restored" in left and 'class="plot"' not in left


def test_only_changed_settings_are_marked(record: Record) -> None:
    record.facts["settings"]["restoration"]["strength"] = 0.3
    rows = contents(record)["settings"]
    assert [row["name"] for row in rows if row["changed"]] == ["restoration.strength"]


def test_text_from_files_cannot_become_markup(record: Record) -> None:
    record.facts["source"]["name"] = "</script><img src=x onerror=alert(1)>.mkv"
    assert record.result is not None
    record.result["warnings"] = ["<b>bold</b>"]
    page = render_page(record)
    assert "<img src=x" not in page and "<b>bold</b>" not in page and "&lt;b&gt;bold&lt;/b&gt;" in page


def test_the_page_says_first_what_of_the_source_is_missing(record: Record) -> None:
    assert record.result is not None
    before = contents(record)["warnings"]
    record.result["missing"] = "1.6 s of video is missing"
    assert contents(record)["warnings"][1:] == before
    assert "cut off or damaged: 1.6 s of video is missing" in render_page(record)


def test_the_page_names_nothing_outside_itself(record: Record) -> None:
    page = re.sub(r"base64,[A-Za-z0-9+/=]+", "", render_page(record))
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page) and "url(" not in page and "@import" not in page


def test_an_unfinished_record_says_so(tmp_path: Path) -> None:
    analysis = made_analysis([made_track(0, 0, 30)], 30, 1)
    assert "The restoration is not finished" in render_page(made_record(analysis, tmp_path, finished=False))


def test_a_choice_of_times_and_strengths_is_shown_as_it_was_done(tmp_path: Path) -> None:
    analysis = made_analysis([made_track(0, 0, 72)], 72, 1)
    half = TimeSpan(Fraction(0), Fraction(36, 24))
    lowered = Rule((1,), TimeSpan(Fraction(0), Fraction(18, 24)), True, 0.3)
    chosen = replace(analysis, people=(Person(1),), between=(half,), rules=(lowered,))
    page = contents(made_record(chosen, tmp_path))
    person = page["people"][0]
    facts = {fact.name: (fact.value, fact.note) for fact in person["facts"]}
    assert facts["Strength"][0] == {fact.name: fact.value for fact in page["headline"]}["Strength"] == "0.3 to 0.6"
    assert facts["Frames restored"] == ("36", "of 72")
    plots = {plot.name: plot for plot in person["plots"]}
    assert "Strength" in plots
    assert max(float(x) for x in re.findall(r"[ML]([\d.]+)", plots["Starting step"].paths[0][1])) <= 510
    assert person["seen"] == "M0.0 0V100H1000.0V0z" and person["done"] == "M0.0 0V100H500.0V0z"
