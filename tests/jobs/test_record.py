"""The record of a job: beside the output, the same after an interruption, of an unfinished job, never in the way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import dynface_video
from dynface_video.api import restore_video, write_report
from dynface_video.cli.demo_clip import write_clip
from dynface_video.cli.main import main
from dynface_video.errors import InputError, JobError
from dynface_video.jobs import record as job_record
from dynface_video.jobs import worker
from dynface_video.jobs.record import open_record, report_path
from dynface_video.media.io.files import MAX_NAME
from dynface_video.record.archive import Record
from identity import checkered, stand_in

FRAMES, SEGMENT = 24, 8


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32), change=checkered)
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(FRAMES))
    write_clip(tmp_path / "clip.mp4", pictures, crf=10, sound=None)
    return tmp_path / "clip.mp4"


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "short.yaml").write_text(f"output:\n  segment_frames: {SEGMENT}\n  encoder_preset: ultrafast\n")
    return {"config": tmp_path / "short.yaml", "device": "cpu"}


def failing(path: Path, *rest: Any) -> int:
    """Stands for `write_segment`: the second segment cannot be written."""
    if path.name.startswith("00001"):
        raise JobError("a bad spot")
    return REAL(path, *rest)


REAL = worker.write_segment


def test_a_record_tells_what_was_done(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    result = restore_video(clip, tmp_path / "out.mp4", **options)
    record = open_record(tmp_path / "out.mp4")
    assert record.result is not None
    assert (record.result["frames"], record.result["faces"]) == (result.frames, result.faces)
    assert record.result["output"]["sha256"] == hashlib.sha256((tmp_path / "out.mp4").read_bytes()).hexdigest()
    assert set(record.result["seconds"]) == {"analyze", "restore", "assemble"}
    assert record.facts["version"] == dynface_video.__version__ and record.facts["source"]["name"] == "clip.mp4"
    assert record.facts["restored_frames"] == FRAMES
    assert {file["licence"] for file in record.facts["models"]} == {"Apache-2.0"}
    assert record.excerpts and record.stills and record.shots
    # The checkers that stand in for restoration are not in the source.
    assert record.measures and all(one.invented > 0.2 for one in record.measures)


def test_the_output_does_not_depend_on_the_record(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    restore_video(clip, tmp_path / "with.mp4", **options)
    restore_video(clip, tmp_path / "without.mp4", record=False, **options)
    assert (tmp_path / "with.mp4").read_bytes() == (tmp_path / "without.mp4").read_bytes()
    with pytest.raises(InputError, match=r"there is no without\.mp4\.record\.zip beside .*--no-record"):
        write_report(tmp_path / "without.mp4")


def test_an_interrupted_job_has_the_same_record_in_the_end(
    clip: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    restore_video(clip, tmp_path / "a.mp4", **options)
    with monkeypatch.context() as patched, pytest.raises(JobError, match="a bad spot"):
        patched.setattr(worker, "write_segment", failing)
        restore_video(clip, tmp_path / "b.mp4", **options)

    partly = open_record(tmp_path / "b.mp4.job")
    assert partly.result is None and partly.facts["restored_frames"] == FRAMES - SEGMENT
    assert all(not one.start < 2 * SEGMENT or one.stop <= SEGMENT for one in partly.measures)
    page = write_report(tmp_path / "b.mp4.job")
    assert page == tmp_path / "b.mp4.report.html" and "not finished" in page.read_text()

    restore_video(clip, tmp_path / "b.mp4", **options)
    first, second = open_record(tmp_path / "a.mp4"), open_record(tmp_path / "b.mp4")
    assert first.measures == second.measures and first.media == second.media
    assert not (tmp_path / "b.mp4.job").exists()


def test_a_record_that_cannot_be_made_is_a_warning(
    clip: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Record:
        raise ValueError("no idea")

    monkeypatch.setattr(job_record, "make_record", broken)
    result = restore_video(clip, tmp_path / "out.mp4", **options)
    assert result.warnings == ("no record of the restoration was kept (ValueError: no idea)",)
    assert (tmp_path / "out.mp4").exists() and not (tmp_path / "out.mp4.record.zip").exists()


def test_a_new_output_without_a_record_leaves_no_old_one(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    first = restore_video(clip, tmp_path / "out.mp4", **options)
    assert first.record == tmp_path / "out.mp4.record.zip" and first.as_dict()["record"] == str(first.record)
    again = restore_video(clip, tmp_path / "out.mp4", record=False, overwrite=True, **options)
    assert again.record is None and not first.record.exists()


def test_an_output_elsewhere_has_its_record_beside_it(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "far").mkdir()
    url = f"file://{tmp_path / 'far' / 'out.mp4'}"
    result = restore_video(clip, url, work=tmp_path / "work", **options)
    assert result.record == f"{url}.record.zip"
    assert open_record(tmp_path / "far" / "out.mp4").result is not None
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == ["out.mp4", "out.mp4.record.zip"]


def test_a_folder_of_images_has_its_record_beside_it(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    restore_video(clip, tmp_path / "frames", **options)
    record = open_record(tmp_path / "frames")
    assert record.result is not None and record.result["output"] == {"name": "frames", "bytes": None, "sha256": None}
    assert len(list((tmp_path / "frames").iterdir())) == FRAMES


def test_a_video_without_a_face_has_a_record_and_a_page(
    clip: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    restore_video(clip, tmp_path / "out.mp4", **options)
    assert "No face was found" in write_report(tmp_path / "out.mp4").read_text()


def test_the_command_writes_a_page_once(clip: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    restore_video(clip, tmp_path / "out.mp4", **options)
    said = CliRunner().invoke(main, ["report", str(tmp_path / "out.mp4"), "-o", str(tmp_path / "page.html"), "--json"])
    assert json.loads(said.stdout) == {
        "report": str(tmp_path / "page.html"),
        "bytes": (tmp_path / "page.html").stat().st_size,
    }
    again = CliRunner().invoke(main, ["report", str(tmp_path / "out.mp4"), "-o", str(tmp_path / "page.html")])
    assert again.exit_code == 2 and "already exists" in again.stderr


def test_a_report_needs_something_to_tell_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: name an output"):
        write_report(tmp_path / "missing.mp4")
    assert report_path(tmp_path / "a.mp4.job") == tmp_path / "a.mp4.report.html"
    longest = report_path(tmp_path / f"{'é' * 125}.mp4")
    assert len(longest.name.encode()) <= MAX_NAME and longest.name.endswith(".report.html")
