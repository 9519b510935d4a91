"""Several videos at once, with stand-ins for the networks: what is done, skipped, failed, and said from outside."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dynface_video.api import restore_batch
from dynface_video.cli.demo_clip import write_clip
from dynface_video.cli.main import main
from dynface_video.errors import JobError
from dynface_video.jobs.executors.base import SegmentResult
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.status import read_status
from dynface_video.jobs.worker import SegmentWorker
from identity import stand_in

FRAMES = 12


@pytest.fixture(autouse=True)
def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=(48, 32))


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    y, x = np.mgrid[:64, :96]
    for number, name in enumerate(("a.mp4", "b.mp4")):
        pictures = (np.repeat((((x + y) * 2 + 5 * i + 40 * number) % 256)[..., None], 3, axis=2) for i in range(FRAMES))
        write_clip(folder / name, (picture.astype(np.uint8) for picture in pictures), crf=20, sound=None)
    (folder / "c.mp4").write_bytes(b"no video at all")
    (tmp_path / "short.yaml").write_text("output:\n  segment_frames: 4\n  encoder_preset: ultrafast\n")
    return folder


def failing_at(number: int) -> object:
    real = SegmentWorker.run

    def run(worker: SegmentWorker, segment: Segment, on_frame: Callable[[int], None]) -> SegmentResult:
        if segment.number == number and worker.info.path.name == "a.mp4":
            raise JobError("a bad spot")
        return real(worker, segment, on_frame)

    return run


def test_what_can_be_done_is_done_and_the_next_run_does_the_rest(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(SegmentWorker, "run", failing_at(1))
        first = restore_batch([films], out, config=tmp_path / "short.yaml", device="cpu")
    assert [row.status for row in first.videos] == ["failed", "done", "failed"]
    assert "frames 4 to 7" in (first.videos[0].error or "")
    lines = [json.loads(line) for line in (out / "batch.jsonl").read_text().splitlines()]
    bad = [line["attempt"] for line in lines if line.get("failure")]
    assert bad == [1, 2, 3]
    good = next(line for line in lines if line["stage"] == "restore" and "failure" not in line)
    assert {"seconds", "faces", "unet_evaluations", "peak_memory", "node", "attempt"} <= good.keys()

    (job,) = read_status(out)["jobs"]
    assert (job["running"], job["segments_done"], job["frames_done"]) == (False, 2, 8)
    assert [one["segment"] for one in job["failures"]] == [1]
    said = CliRunner().invoke(main, ["status", str(out / "a.mp4")])
    assert read_status(out / "a.mp4")["batch"] is None
    assert "not running" in said.stdout and "frames 4 to 7: a bad spot (attempt 3)" in said.stdout

    second = restore_batch([films], out, config=tmp_path / "short.yaml", device="cpu")
    assert [row.status for row in second.videos] == ["done", "skipped", "failed"]
    assert second.videos[0].totals.computed == 1
    records = ["a.mp4.record.zip", "b.mp4.record.zip"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["a.mp4", "b.mp4", "batch.json", "batch.jsonl", *records]
    )


def test_the_command_says_what_became_of_each_and_ends_with_3(films: Path, tmp_path: Path) -> None:
    command = ["batch", str(films), "-o", str(tmp_path / "out"), "--device", "cpu"]
    told = CliRunner().invoke(main, command)
    assert told.exit_code == 3
    rows = [line.split() for line in told.stdout.splitlines()]
    assert [row[0] for row in rows[1:4]] == ["done", "done", "failed"]
    assert (
        told.stderr.index("not restored: ") < told.stderr.index("2 videos, about 24 frames") and "c.mp4" in told.stderr
    )
    again = CliRunner().invoke(main, [*command, "--json"])
    answer = json.loads(again.stdout)
    assert again.exit_code == 3 and (answer["skipped"], answer["failed"]) == (2, 1)
    (films / "c.mp4").unlink()
    assert CliRunner().invoke(main, command).exit_code == 0


def test_a_video_that_is_cut_off_is_restored_up_to_there_and_ends_with_3(films: Path, tmp_path: Path) -> None:
    (films / "c.mp4").unlink()
    pictures = (np.full((64, 96, 3), 4 * number, np.uint8) for number in range(60))
    write_clip(films / "long.mkv", pictures, crf=20, sound=None)
    whole = (films / "long.mkv").read_bytes()
    (films / "long.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    out = tmp_path / "out"
    told = CliRunner().invoke(main, ["batch", str(films), "-o", str(out), "--device", "cpu", "--json"])
    rows = {Path(row["source"]).name: row for row in json.loads(told.stdout)["videos"]}
    assert told.exit_code == 3 and {row["status"] for row in rows.values()} == {"done"}
    assert [name for name, row in rows.items() if row["missing"]] == ["long.mkv"]
    again = CliRunner().invoke(main, ["batch", str(films), "-o", str(out), "--device", "cpu", "--json"])
    skipped = {Path(row["source"]).name: row for row in json.loads(again.stdout)["videos"]}
    assert again.exit_code == 3 and {row["status"] for row in skipped.values()} == {"skipped"}
    assert skipped["long.mkv"]["missing"] == rows["long.mkv"]["missing"]
    alone = ["restore", str(films / "long.mkv"), "-o", str(tmp_path / "alone.mkv"), "--device", "cpu"]
    said = CliRunner().invoke(main, alone)
    assert said.exit_code == 3 and rows["long.mkv"]["missing"] in said.stdout
    assert (tmp_path / "alone.mkv").exists()


def test_an_interrupted_batch_says_the_same_as_its_status(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SegmentWorker.run

    def run(worker: SegmentWorker, segment: Segment, on_frame: Callable[[int], None]) -> SegmentResult:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(worker, segment, on_frame)

    monkeypatch.setattr(SegmentWorker, "run", run)
    out = tmp_path / "out"
    command = ["batch", str(films), "-o", str(out), "--config", str(tmp_path / "short.yaml"), "--device", "cpu"]
    told = CliRunner().invoke(main, command)
    assert told.exit_code == 143 and "1 failed, 1 unfinished, 1 waiting" in told.stdout
    batch = read_status(out)["batch"]
    assert {name: batch[name] for name in ("done", "failed", "unfinished", "waiting")} == {
        "done": 0,
        "failed": 1,
        "unfinished": 1,
        "waiting": 1,
    }
    result = restore_batch([films], out, config=tmp_path / "short.yaml", device="cpu")
    assert result.as_dict() | {"videos": [], "log": ""} == {
        "videos": [],
        "log": "",
        "done": 0,
        "skipped": 0,
        "failed": 1,
        "unfinished": 1,
        "waiting": 1,
    }
