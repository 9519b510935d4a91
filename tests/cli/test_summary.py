from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dynface_video.cli.summary import plan_summary, restore_summary
from dynface_video.jobs.album import PictureAccount
from dynface_video.passes.face_account import FaceAccount
from dynface_video.results import RestorePlan, RestoreResult

NOTHING = RestoreResult(Path("out.mkv"), 1, 0, 0, 0, 0, {"analyze": 0.5}, ())


def test_one_is_singular_and_none_skipped_is_not_mentioned() -> None:
    assert restore_summary(replace(NOTHING, faces=1, tracks=1)) == [
        "out.mkv: 1 frame, 1 face restored (1 crop, none with detail drawn by the prior)",
        "analyze 0.5 s",
    ]
    assert restore_summary(NOTHING)[0] == "out.mkv: 1 frame, 0 faces restored"


def test_skipped_faces_are_counted_by_reason_the_most_frequent_first() -> None:
    reasons = {"too short": 1, "too small": 4, "not selected for restoration": 1}
    turned = restore_summary(replace(NOTHING, skip_reasons={"seen from the side": 1}))
    assert turned[0].endswith("; 1 face skipped: 1 seen from the side")
    assert turned[-1].startswith("limits that skipped faces: --max-yaw (seen from the side)")
    (done, *_) = restore_summary(replace(NOTHING, skip_reasons=reasons))
    assert done.endswith("; 6 faces skipped: 4 too small, 1 too short, 1 not selected for restoration")


def test_public_networks_are_named_with_licences_that_forbid_commercial_use() -> None:
    free = {"name": "yunet", "sha256": "a", "licence": "MIT", "commercial_use": True}
    bound = {"name": "parsenet", "sha256": "b", "licence": "CC-BY-NC-SA-4.0", "commercial_use": False}
    (_, used, _) = restore_summary(replace(NOTHING, models=(free, bound)))
    assert used == "public networks used: yunet (MIT), parsenet (CC-BY-NC-SA-4.0, no commercial use)"


def test_a_plan_tells_size_encoding_disk_and_time() -> None:
    plan = RestorePlan(Path("out.mkv"), 5400, (1280, 720), ("libx264", "yuv420p"), 1_500_000_000, 9 * 10**9, (60, 720))
    assert plan_summary(plan) == [
        "out.mkv: about 5400 frames, 1280x720, libx264 yuv420p",
        "up to 1.5 GB of disk space in the meantime, 9.0 GB free",
        "1 min to 12 min, depending on the faces",
        "nothing was written",
    ]
    unknown = RestorePlan(Path("album"), None, None, None, None, 0, None)
    chosen = RestorePlan(Path("out.mkv"), 5400, None, None, None, 0, (600, 600), faces=1, people=(2,))
    assert plan_summary(chosen)[1:-1] == [
        "1 crop to restore, of person 2",
        "10 min to restore them on this CPU, by rule of thumb",
    ]
    assert plan_summary(unknown) == ["album: length unknown", "nothing was written"]


def test_an_album_s_summary_names_what_became_of_each_picture() -> None:
    face = FaceAccount(0, 1, (9.0, 9.0), 80.0, True)
    small = FaceAccount(0, 1, (9.0, 9.0), 9.0, False, "too small: 9 px")
    pictures = (
        PictureAccount("a.jpg", "a.jpg", "restored", (face,)),
        PictureAccount("b.jpg", "b.jpg", "restored", (face, small)),
        PictureAccount("c.jpg", "c.tif", "skipped", (small,)),
        PictureAccount("d.jpg", "d.jpg", "no_face", unchanged=True),
        PictureAccount("e.jpg", None, "unreadable", reason="damaged"),
    )
    lines = restore_summary(replace(NOTHING, output=Path("out"), pictures=pictures))
    assert lines == [
        "  a.jpg: 1 face restored",
        "  b.jpg: 1 face restored; 1 face skipped: 1 too small",
        "  c.jpg: 1 face skipped: 1 too small; the file is encoded again",
        "  d.jpg: no face found; the file is unchanged",
        "  e.jpg: unreadable, not in the output",
        "out: 5 pictures: 2 restored, 1 with faces of which none was restored, 1 without a face, 1 unreadable; "
        "1 of them unchanged, byte for byte",
        "analyze 0.5 s",
    ]
    many = restore_summary(replace(NOTHING, pictures=(*pictures, *[pictures[0]] * 30)))
    assert [line.split(":")[0].strip() for line in many[:-2]] == ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]
