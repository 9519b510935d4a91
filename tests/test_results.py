from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from dynface_video.jobs.album import PictureAccount
from dynface_video.jobs.batch import BatchRow
from dynface_video.jobs.stills import StillsResult
from dynface_video.jobs.task import Totals
from dynface_video.passes.face_account import FaceAccount
from dynface_video.results import BatchResult, RestoreResult


def test_a_videos_result_is_json() -> None:
    totals = Totals(
        50, 48, 1, 2, seconds={"restore": 2.5}, warnings=["damaged"], skip_reasons={"too small": 2}, drawn_faces=5
    )
    totals.found_faces = [asdict(FaceAccount(2, 50, (40.0, 30.5), 24.0, True, track=3))]
    answer = json.loads(json.dumps(RestoreResult.of_video(Path("out.mkv"), totals).as_dict()))
    assert answer == {
        "output": "out.mkv", "frames": 50, "faces": 48, "tracks": 1, "skipped_faces": 2, "unet_evaluations": 0,
        "drawn_faces": 5, "seconds": {"restore": 2.5}, "warnings": ["damaged"], "missing": "",
        "skip_reasons": {"too small": 2},
        "found_faces": [
            {"start": 2, "stop": 50, "centre": [40.0, 30.5], "size": 24.0, "restored": True, "reason": "", "track": 3}
        ],
        "pictures": [], "models": [], "record": None,
    }  # fmt: skip


def test_images_tell_each_warning_once_and_what_became_of_each_face() -> None:
    seen = FaceAccount(0, 1, (9.0, 9.0), 80.0, True), FaceAccount(0, 1, (50.0, 9.0), 9.0, False, "too dark: 3 %")
    stills = StillsResult(seconds={"restore": 1.0})
    for number in range(2):
        name = f"{number}.png"
        stills.add(
            PictureAccount(
                name, name, "restored", seen, drawn_faces=1, unet_evaluations=2, warnings=("no transparency",)
            )
        )
    stills.add(PictureAccount("cat.png", None, "unreadable", reason="damaged"))
    result = RestoreResult.of_stills(Path("album"), stills)
    assert (result.frames, result.tracks, result.faces, result.skip_reasons) == (2, 2, 2, {"too dark": 2})
    assert (result.drawn_faces, result.unet_evaluations, result.warnings) == (2, 4, ("no transparency",))
    answer = json.loads(json.dumps(result.as_dict()))
    assert [picture["status"] for picture in answer["pictures"]] == ["restored", "restored", "unreadable"]
    assert [face["restored"] for face in answer["pictures"][0]["faces"]] == [True, False]


def test_a_batch_counts_every_status() -> None:
    rows = tuple(BatchRow(f"{n}.avi", f"{n}.mkv", status) for n, status in enumerate(["done", "done", "waiting"]))
    answer = json.loads(json.dumps(BatchResult(rows, Path("batch.jsonl"), interrupted_by=2).as_dict()))
    assert (answer["done"], answer["waiting"], answer["failed"], len(answer["videos"])) == (2, 1, 0, 3)
