from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from dynface_video.jobs.batch import BatchRow
from dynface_video.jobs.stills import StillsResult
from dynface_video.jobs.task import Totals
from dynface_video.passes.restore import Work
from dynface_video.results import BatchResult, RestoreResult


def test_a_videos_result_is_json() -> None:
    totals = Totals(50, 48, 1, 2, seconds={"restore": 2.5}, warnings=["damaged"], skip_reasons={"too small": 2})
    answer = json.loads(json.dumps(RestoreResult.of_video(Path("out.mkv"), totals).as_dict()))
    assert answer == {
        "output": "out.mkv", "frames": 50, "faces": 48, "tracks": 1, "skipped_faces": 2, "unet_evaluations": 0,
        "seconds": {"restore": 2.5}, "warnings": ["damaged"], "skip_reasons": {"too small": 2},
    }  # fmt: skip


def test_images_tell_each_warning_once() -> None:
    stills = StillsResult(3, 2, 1, Counter({"too dark": 1}), Work(faces=2), ["no transparency", "no transparency"])
    result = RestoreResult.of_stills(Path("album"), stills)
    assert (result.frames, result.tracks, result.faces, result.skip_reasons) == (3, 2, 2, {"too dark": 1})
    assert result.warnings == ("no transparency",)


def test_a_batch_counts_every_status() -> None:
    rows = tuple(BatchRow(f"{n}.avi", f"{n}.mkv", status) for n, status in enumerate(["done", "done", "waiting"]))
    answer = json.loads(json.dumps(BatchResult(rows, Path("batch.jsonl"), interrupted_by=2).as_dict()))
    assert (answer["done"], answer["waiting"], answer["failed"], len(answer["videos"])) == (2, 1, 0, 3)
