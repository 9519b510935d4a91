"""The job directory: go on, refuse, start over."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dynface_video.errors import InputError, JobError
from dynface_video.jobs.directory import JobDirectory, SegmentResult, job_path, read_plan, segment_digest
from dynface_video.jobs.plan import Plan, Segment
from dynface_video.media.io.files import MAX_NAME
from dynface_video.passes.analysis import Analysis
from short_analysis import short_analysis

PLAN = Plan("film.mp4", "aa", {"restoration": {"strength": 0.5}}, "mm", "0.1.0")
RESULT = SegmentResult(0, 10, 7, 70, {"faces": 1.0}, ("a warning",))
FIRST, SECOND = Segment(0, 0, 10), Segment(1, 10, 20)


@pytest.fixture
def analysis() -> Analysis:
    return short_analysis()


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return JobDirectory.open(tmp_path / "out.mp4.job", PLAN)


def finish(job: JobDirectory, segment: Segment, analysis: Analysis) -> Path:
    path = job.segment_path(segment, analysis)
    path.write_bytes(b"picture")
    job.record(segment, analysis, RESULT)
    return path


def test_a_segment_is_done_again_when_anything_changes_that_its_faces_depend_on(
    analysis: Analysis, tmp_path: Path
) -> None:
    (analyzed,) = analysis.tracks
    faded = dataclasses.replace(analyzed.track, shown=np.linspace(0, 1 / 3, 6).astype(np.float32))
    analysis = dataclasses.replace(analysis, tracks=(dataclasses.replace(analyzed, track=faded),))
    analysis.save(tmp_path / "a.json")
    analysis = Analysis.load(tmp_path / "a.json")
    (analyzed,) = analysis.tracks
    faded, digest = analyzed.track, segment_digest(PLAN, Segment(0, 0, 4), analysis)
    assert segment_digest(PLAN, Segment(0, 0, 4), Analysis.load(tmp_path / "a.json")) == digest
    unseen = dataclasses.replace(faded, observed=np.arange(6) != 5)
    gone = dataclasses.replace(faded, shown=np.zeros(6, np.float32))
    for changed in (
        dataclasses.replace(analyzed, track=unseen),
        dataclasses.replace(analyzed, track=gone),
        dataclasses.replace(analyzed, track=faded, noise=1),
        dataclasses.replace(analyzed, track=faded, levels=analyzed.levels + (np.arange(6) == 5)),
    ):
        assert segment_digest(PLAN, Segment(0, 0, 4), dataclasses.replace(analysis, tracks=(changed,))) != digest


@pytest.mark.parametrize("length", [1, 246, 250, 251, 252, 255])
@pytest.mark.parametrize("letter", ["x", "漢"])
def test_the_directory_of_any_name_has_a_name_that_file_systems_take(letter: str, length: int, tmp_path: Path) -> None:
    size = len(letter.encode())
    target = tmp_path / ("x" * (length % size) + letter * (length // size))
    path = job_path(target)
    assert len(target.name.encode()) == length and len(path.name.encode()) <= MAX_NAME and path.name.endswith(".job")
    assert (path.name == f"{target.name}.job") == (length <= 251)
    assert job_path(target.with_name(f"y{target.name[1:]}")) != path
    path.mkdir()


def test_a_finished_segment_is_remembered(job: JobDirectory, analysis: Analysis) -> None:
    assert job.finished(FIRST, analysis) is None
    finish(job, FIRST, analysis)
    again = JobDirectory.open(job.path, PLAN)
    assert again.finished(FIRST, analysis) == RESULT
    assert again.finished(SECOND, analysis) is None


def test_a_segment_without_record_or_cut_short_counts_for_nothing(job: JobDirectory, analysis: Analysis) -> None:
    path = finish(job, FIRST, analysis)
    path.write_bytes(b"pict")
    assert job.finished(FIRST, analysis) is None
    path = finish(job, FIRST, analysis)
    path.with_suffix(".json").write_text('{"number": 0')
    assert job.finished(FIRST, analysis) is None
    path = finish(job, FIRST, analysis)
    path.unlink()
    assert job.finished(FIRST, analysis) is None


def test_editing_a_track_redoes_only_the_segments_that_show_it(job: JobDirectory, analysis: Analysis) -> None:
    finish(job, FIRST, analysis)
    finish(job, SECOND, analysis)
    edited = dataclasses.replace(analysis, tracks=(dataclasses.replace(analysis.tracks[0], restore=False),))
    assert job.finished(FIRST, edited) is None
    assert job.finished(SECOND, edited) == RESULT


OTHER = dataclasses.replace(PLAN, settings={"restoration": {"strength": 0.9}})


@pytest.mark.parametrize("finished", ["segments/00000-0.nut", "pictures/a.png", "analysis.json"])
def test_a_job_with_other_settings_is_refused_and_the_difference_named(finished: str, job: JobDirectory) -> None:
    (job.path / finished).parent.mkdir(exist_ok=True)
    (job.path / finished).write_bytes(b"work")
    with pytest.raises(JobError, match=r"strength \(0\.9 now, 0\.5 before\).*--restart"):
        JobDirectory.open(job.path, OTHER)
    assert (job.path / finished).read_bytes() == b"work"


def test_a_job_that_finished_nothing_makes_way_for_other_settings(job: JobDirectory) -> None:
    job.log_path.write_text("{}")
    (job.path / "segments" / ".00000.partial-ab12.nut").write_bytes(b"half")
    assert JobDirectory.open(job.path, OTHER).plan == OTHER
    assert sorted(path.name for path in job.path.iterdir()) == ["plan.json", "segments"]
    assert not list((job.path / "segments").iterdir())
    assert JobDirectory.open(job.path, OTHER).plan == OTHER


def test_a_first_pass_is_kept_for_another_choice_of_faces_and_for_nothing_else(job: JobDirectory) -> None:
    job.found_path.write_text("{}")
    chosen = dataclasses.replace(PLAN, settings=PLAN.settings | {"selection": {"faces": "2"}, "reference": "cc"})
    assert PLAN.differences(chosen) and chosen.has_first_pass_of(PLAN)
    assert JobDirectory.open(job.path, chosen).found_path.exists()
    assert read_plan(job.path / "plan.json") == chosen
    for other in (OTHER, dataclasses.replace(chosen, input_digest="bb")):
        assert not other.has_first_pass_of(chosen)
    assert not JobDirectory.open(job.path, OTHER).found_path.exists()


def test_without_resume_a_job_starts_over(job: JobDirectory, analysis: Analysis) -> None:
    finish(job, FIRST, analysis)
    again = JobDirectory.open(job.path, PLAN, resume=False)
    assert again.finished(FIRST, analysis) is None
    assert not list((job.path / "segments").iterdir())


def test_what_killed_workers_were_writing_is_cleared_away(job: JobDirectory, analysis: Analysis) -> None:
    path = finish(job, FIRST, analysis)
    job.output_folder.mkdir()
    halves = [path.with_name(".00001.partial-ab12.nut"), job.output_folder / ".out.partial-cd34.mp4"]
    for half in halves:
        half.write_bytes(b"half")
    again = JobDirectory.open(job.path, PLAN)
    assert not any(half.exists() for half in halves)
    assert again.finished(FIRST, analysis) == RESULT


def test_something_else_in_the_way_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"precious")
    for resume in (True, False):
        with pytest.raises(InputError, match="nor a job"):
            JobDirectory.open(folder, PLAN, resume=resume)
    assert (folder / "photo.jpg").read_bytes() == b"precious"
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="in the way"):
        JobDirectory.open(tmp_path / "file", PLAN)


def test_a_damaged_plan_is_named(job: JobDirectory) -> None:
    (job.path / "plan.json").write_text("{")
    with pytest.raises(JobError, match="--restart"):
        JobDirectory.open(job.path, PLAN)
