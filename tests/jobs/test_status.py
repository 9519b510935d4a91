"""How a batch as a whole is doing, as `status` says it from outside: while it runs, after it, and after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dynface_video.api import restore_batch
from dynface_video.cli.demo_clip import write_clip
from dynface_video.cli.main import main
from dynface_video.errors import InputError
from dynface_video.jobs.directory import JobDirectory
from dynface_video.jobs.estimate import FIRST_PASS, work_done
from dynface_video.jobs.journal import DONE, FAILED, LOG, WAITING, JobLog, PlannedVideo, write_batch_record
from dynface_video.jobs.lock import job_lock
from dynface_video.jobs.plan import Plan
from dynface_video.jobs.status import kept_work, read_batch, read_status
from identity import stand_in

PLAN = Plan("film.mp4", "aa", {}, "mm", "0.1.0")
FRAMES = 1000


def planned(folder: Path, name: str, status: str = WAITING, **more: object) -> PlannedVideo:
    job = str(folder / f"{name}.job") if status == WAITING else ""
    return PlannedVideo(name, str(folder / name), status, job, FRAMES, **more)  # type: ignore[arg-type]


def begin(folder: Path, name: str, **state: object) -> JobDirectory:
    job = JobDirectory.open(folder / f"{name}.job", PLAN)
    job.state_path.write_text(json.dumps({"frames": FRAMES, **state}))
    return job


def began(folder: Path, seconds: float) -> None:
    """Let the batch have begun so long ago."""
    record = json.loads((folder / "batch.json").read_text())
    (folder / "batch.json").write_text(json.dumps(record | {"began": time.time() - seconds}))


def counts(folder: Path) -> dict[str, int]:
    batch = read_batch(folder)
    assert batch is not None
    return {name: count for name, count in batch.items() if isinstance(count, int) and count and name != "seconds_left"}


def test_a_running_batch_is_counted_and_told_how_long_it_takes(tmp_path: Path) -> None:
    log = tmp_path / LOG
    # A batch before this one failed with c, which is of no interest any more.
    JobLog(log).end("c", tmp_path / "c.job", "of yesterday")
    videos = [planned(tmp_path, name) for name in "abcde"]
    write_batch_record(log, [*videos, planned(tmp_path, "f", DONE), planned(tmp_path, "g", FAILED, error="no video")])
    began(tmp_path, 1000)
    assert counts(tmp_path) == {"videos": 7, "waiting": 5, "done": 1, "failed": 1}
    JobLog(log).end("a", tmp_path / "a.job", None)
    JobLog(log).end("b", tmp_path / "b.job", "a bad spot")
    with ExitStack() as held:
        held.enter_context(job_lock(begin(tmp_path, "c", stage="restore", frames_done=400, frames_under_way=100).path))
        assert counts(tmp_path) == {"videos": 7, "done": 2, "running": 1, "failed": 2, "waiting": 2}
        before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
        batch = read_status(tmp_path)["batch"]
        assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
        done = FRAMES + work_done("restore", 500, FRAMES)
        assert batch["seconds_left"] == pytest.approx(1000 * (5 * FRAMES - done - FRAMES) / done, abs=2)
        assert [one["error"] for one in batch["failures"]] == ["a bad spot", "no video"]
        said = CliRunner().invoke(main, ["status", str(tmp_path)]).stdout.splitlines()
        assert said[0].startswith("7 videos: 2 done, 1 running, 2 failed, 2 waiting; about ")
        assert said[1:3] == ["  b: a bad spot", "  g: no video"] and "restore: 500 of 1000 frames" in said[3]
    assert "not running" in CliRunner().invoke(main, ["status", str(tmp_path)]).stdout.splitlines()[0]


def test_nothing_is_said_of_the_time_before_there_is_enough_to_tell_from(tmp_path: Path) -> None:
    write_batch_record(tmp_path / LOG, [planned(tmp_path, name) for name in "ab"])

    def left(seconds: float, **state: object) -> int | None:
        began(tmp_path, seconds)
        with job_lock(begin(tmp_path, "a", **state).path):
            batch = read_batch(tmp_path)
            assert batch is not None and batch["running"] == 1
            found: int | None = batch["seconds_left"]
            return found

    assert left(20, stage="restore", frames_done=500) is None
    assert left(500, stage="analyze", frames_done=900) is None
    assert left(500, stage="restore", frames_done=500) is not None


def test_what_earlier_runs_did_says_nothing_about_speed(tmp_path: Path) -> None:
    job = begin(tmp_path, "a", stage="analyze", frames_done=700)
    assert kept_work(job.path, FRAMES) == 0
    job.analysis_path.touch()
    assert kept_work(job.path, FRAMES) == pytest.approx(FIRST_PASS * FRAMES)
    begin(tmp_path, "a", stage="restore", frames_done=800)
    kept = kept_work(job.path, FRAMES)
    assert kept == pytest.approx(FIRST_PASS * FRAMES + (1 - FIRST_PASS) * 800)
    write_batch_record(tmp_path / LOG, [planned(tmp_path, "a", kept=kept)])
    began(tmp_path, 100)
    begin(tmp_path, "a", stage="restore", frames_done=900)
    with job_lock(job.path):
        batch = read_batch(tmp_path)
    assert batch is not None and batch["seconds_left"] == pytest.approx(100, abs=2)


def test_what_waits_to_start_over_counts_as_not_begun(tmp_path: Path) -> None:
    write_batch_record(tmp_path / LOG, [planned(tmp_path, "a"), planned(tmp_path, "b")])
    began(tmp_path, 100)
    begin(tmp_path, "b", stage="restore", frames_done=900)
    with job_lock(begin(tmp_path, "a", stage="assemble", frames_done=FRAMES).path):
        batch = read_batch(tmp_path)
    assert batch is not None and batch["seconds_left"] == pytest.approx(100, abs=2)


def test_a_video_that_is_being_sent_has_nothing_left_and_is_not_done_before_it_was(tmp_path: Path) -> None:
    log = tmp_path / LOG
    write_batch_record(log, [planned(tmp_path, name) for name in "ab"])
    began(tmp_path, 100)
    job = begin(tmp_path, "a", stage="assemble", frames_done=FRAMES)
    with job_lock(job.path):
        job.remove()
        assert counts(tmp_path) == {"videos": 2, "running": 1, "waiting": 1}
        with job_lock(begin(tmp_path, "b", stage="restore", frames_done=500).path):
            batch = read_batch(tmp_path)
            done = FRAMES + work_done("restore", 500, FRAMES)
            assert batch is not None and batch["seconds_left"] == pytest.approx(100 * (2 * FRAMES - done) / done, abs=2)
    # Killed while it was sent: nobody has said that it arrived.
    assert counts(tmp_path)["waiting"] == 1 and "done" not in counts(tmp_path)
    JobLog(log).end("a", tmp_path / "a.job", None)
    assert counts(tmp_path)["done"] == 1


def test_a_batch_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    log = tmp_path / LOG
    write_batch_record(log, [planned(tmp_path, name) for name in "ab"])
    # Between the line and the output at its place: the job is still there to go on.
    job = begin(tmp_path, "a", stage="assemble")
    JobLog(log).end("a", job.path, None)
    assert counts(tmp_path) == {"videos": 2, "unfinished": 1, "waiting": 1}
    job.remove()
    with open(log, "a") as handle:
        handle.write('{"video": "b", "stage": "end", "jo')
    assert counts(tmp_path) == {"videos": 2, "done": 1, "waiting": 1}
    (tmp_path / "batch.json").write_text('{"videos": [')
    assert read_batch(tmp_path) is None


def test_what_a_real_batch_writes_is_what_status_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    films, out, shown = tmp_path / "films", tmp_path / "out", list[tuple[int, int | None]]()
    films.mkdir()
    y, x = np.mgrid[:64, :96]
    for name in ("a.mp4", "b.mp4"):
        pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(12))
        write_clip(films / name, pictures, crf=20, sound=None)
    (films / "c.mp4").write_bytes(b"no video at all")
    seen = list[dict[str, int]]()

    def progress(stage: str, done: int, total: int | None) -> None:
        shown.append((done, total))
        if not seen or seen[-1] != counts(out):
            seen.append(counts(out))

    restore_batch([films], out, device="cpu", progress=progress)
    assert seen[0] == {"videos": 3, "running": 1, "failed": 1, "waiting": 1}
    assert {"videos": 3, "running": 1, "failed": 1, "done": 1} in seen
    assert counts(out) == {"videos": 3, "done": 2, "failed": 1}
    assert [done for done, _ in shown] == sorted(done for done, _ in shown)
    # The first passes move the bar as well, and in the end all of it is done.
    assert any(0 < done < 12 * FIRST_PASS + 1 for done, _ in shown) and shown[-1] == (24, 24)
    answer = json.loads(CliRunner().invoke(main, ["status", str(out), "--json"]).stdout)
    assert (answer["jobs"], answer["batch"]["done"], answer["batch"]["seconds_left"]) == ([], 2, None)


def test_a_finished_output_is_said_to_be_finished_when_and_where(tmp_path: Path) -> None:
    target = tmp_path / "restored.mkv"
    target.write_bytes(bytes(2_000_000))
    (tmp_path / "notes.txt").touch()
    os.utime(target, (1_750_000_000, 1_750_000_000))
    for asked in (target, tmp_path / "restored.mkv.job", tmp_path):
        assert read_status(asked)["finished"] == [{"output": str(target), "bytes": 2_000_000, "time": 1_750_000_000}]
        said = CliRunner().invoke(main, ["status", str(asked)]).stdout.splitlines()
        written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_750_000_000))
        assert said[0].startswith(f"{target}: finished, written {written} (") and said[0].endswith(" ago), 2 MB")
        assert said[1:] == ["no unfinished job"]
    begin(tmp_path, "restored.mkv", stage="restore", frames_done=3)
    assert read_status(target)["finished"] == [] and len(read_status(target)["jobs"]) == 1


def test_status_needs_a_job_and_no_networks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no unfinished job"):
        read_status(tmp_path)
    modules = ", ".join(f"dynface_video.jobs.{name}" for name in ("executors.base", "executors.ray", "status"))
    program = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_working_directory_is_a_place_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no unfinished job in this folder"):
        read_status(Path())
    begin(tmp_path, "film.mkv", stage="restore")
    assert len(read_status(Path())["jobs"]) == len(read_status(Path("film.mkv"))["jobs"]) == 1
    said = CliRunner().invoke(main, ["status"])
    assert said.exit_code == 0 and said.stdout.startswith("film.mkv (not running): restore")
