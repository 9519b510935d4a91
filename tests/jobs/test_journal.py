"""What a job and a batch write down about themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynface_video.jobs.executors.base import LOST, RESTORE, Call, Failure, Outcome, SegmentResult
from dynface_video.jobs.journal import END, LOG, RECORD, WAITING, JobLog, PlannedVideo, log_line, write_batch_record
from dynface_video.jobs.plan import Segment

CALL = Call(0, RESTORE, Segment(3, 30, 40), attempt=2, batch=4)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_restored_segment_is_logged_with_what_it_took() -> None:
    result = SegmentResult(
        3, 10, 7, 70, {"faces": 1.23456}, peak_memory=5, peak_gpu_memory=6, node="here", elapsed=2.5, drawn_faces=5
    )
    line = log_line("film", Outcome(CALL, result, worker=2))
    assert line.pop("time") > 1.7e9
    assert line == {
        "video": "film", "stage": "restore", "attempt": 2, "segment": 3, "start": 30, "stop": 40, "batch": 4,
        "worker": 2, "frames": 10, "faces": 7, "drawn_faces": 5, "unet_evaluations": 70, "seconds": {"faces": 1.2346},
        "elapsed": 2.5, "peak_memory": 5, "peak_gpu_memory": 6, "node": "here", "computed": True,
    }  # fmt: skip


def test_a_failure_is_logged_with_its_kind_and_reason() -> None:
    line = log_line("film", Outcome(CALL, None, Failure(LOST, "its process died")))
    assert (line["failure"], line["reason"]) == (LOST, "its process died")
    assert "frames" not in line and "worker" not in line


def test_lines_are_appended_and_the_last_one_ends_a_video(tmp_path: Path) -> None:
    log = JobLog(tmp_path / LOG)
    log.add("film", Outcome(CALL, None, Failure(LOST, "died")))
    log.end("film", tmp_path / "film.job", None)
    log.end("reel", tmp_path / "reel.job", "a bad spot")
    assert [line["stage"] for line in lines(log.path)] == ["restore", END, END]
    assert [line["error"] for line in lines(log.path)[1:]] == [None, "a bad spot"]


@pytest.mark.parametrize("place", ["missing/batch.jsonl", "file/batch.jsonl"])
def test_a_log_that_cannot_be_written_ends_no_job(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    JobLog(tmp_path / place).end("film", tmp_path, None)
    write_batch_record(tmp_path / place, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_the_record_of_a_batch_says_where_its_lines_begin(tmp_path: Path) -> None:
    log, video = JobLog(tmp_path / LOG), PlannedVideo("in.mp4", "out.mp4", WAITING, "out.mp4.job", 12, 3.5)
    write_batch_record(log.path, [video])
    assert json.loads((tmp_path / RECORD).read_text())["log_begins"] == 0
    log.end("film", tmp_path, None)
    write_batch_record(log.path, [video, video])
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["log_begins"] == log.path.stat().st_size > 0
    assert [PlannedVideo(**values) for values in record["videos"]] == [video, video]
