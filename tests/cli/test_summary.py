from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dynface_video.cli.summary import plan_summary, restore_summary
from dynface_video.results import RestorePlan, RestoreResult

NOTHING = RestoreResult(Path("out.mkv"), 1, 0, 0, 0, 0, {"analyze": 0.5}, ())


def test_one_is_singular_and_none_skipped_is_not_mentioned() -> None:
    assert restore_summary(replace(NOTHING, faces=1, tracks=1, unet_evaluations=1)) == [
        "out.mkv: 1 frame, 1 face of 1 track restored with 1 network evaluation",
        "analyze 0.5 s",
    ]


def test_skipped_faces_are_counted_by_reason_the_most_frequent_first() -> None:
    reasons = {"too short": 1, "too small": 4, "not selected for restoration": 1}
    (done, _) = restore_summary(replace(NOTHING, skip_reasons=reasons))
    assert done.endswith("; 6 faces skipped: 4 too small, 1 too short, 1 not selected for restoration")


def test_a_plan_tells_size_encoding_disk_and_time() -> None:
    plan = RestorePlan(Path("out.mkv"), 5400, (1280, 720), ("libx264", "yuv420p"), 1_500_000_000, 9 * 10**9, (60, 720))
    assert plan_summary(plan) == [
        "out.mkv: about 5400 frames, 1280x720, libx264 yuv420p",
        "up to 1.5 GB of disk space in the meantime, 9.0 GB free",
        "1 min to 12 min, depending on the faces",
        "nothing was written",
    ]
    unknown = RestorePlan(Path("album"), None, None, None, None, 0, None)
    assert plan_summary(unknown) == ["album: length unknown", "nothing was written"]
