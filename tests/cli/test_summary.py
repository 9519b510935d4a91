from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dynface_video.cli.summary import restore_summary
from dynface_video.results import RestoreResult

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
