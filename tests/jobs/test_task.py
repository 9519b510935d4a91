"""Progress within a segment: frames are counted as they are done, each once, and never taken back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.errors import JobError
from dynface_video.jobs import task, worker
from dynface_video.jobs.directory import MAX_PROGRESS_FILES, JobDirectory
from dynface_video.jobs.lock import job_lock
from dynface_video.jobs.plan import Plan
from dynface_video.jobs.status import read_status
from dynface_video.jobs.task import Progress
from dynface_video.media.io.read import Frame
from identity import stand_in

FRAMES, SEGMENT = 24, 8
PLAN = Plan("film.mp4", "aa", {}, "mm", "0.1.0")


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    monkeypatch.setattr(worker, "PROGRESS_INTERVAL", 0.0)
    monkeypatch.setattr(task, "STATE_INTERVAL", 0.0)
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(FRAMES))
    write_clip(tmp_path / "clip.mp4", pictures, crf=20, sound=None)
    (tmp_path / "short.yaml").write_text(f"output:\n  segment_frames: {SEGMENT}\n  encoder_preset: ultrafast\n")
    return tmp_path / "clip.mp4"


def restored_into(shown: list[int]) -> Progress:
    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "restore":
            shown.append(done)

    return progress


def test_frames_count_as_they_are_done_and_once_when_a_segment_is_tried_again(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = worker.write_segment, list[str]()
    shown, honest = list[int](), list[int]()

    def failing(path: Path, frames: Iterable[Frame], *rest: Any) -> int:
        tries.append(path.name[:5])
        if tries == ["00000", "00001"]:
            for _, _frame in zip(range(6), frames, strict=False):
                pass
            raise JobError("a bad spot")
        return real(path, watched(frames) if len(tries) == 3 else frames, *rest)

    def watched(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            honest.append(read_status(tmp_path / "out.mp4")["jobs"][0]["frames_done"])
            yield frame

    monkeypatch.setattr(worker, "write_segment", failing)
    restore_video(
        clip, tmp_path / "out.mp4", config=tmp_path / "short.yaml", device="cpu", progress=restored_into(shown)
    )
    assert tries == ["00000", "00001", "00001", "00002"]
    # Five frames of the second segment were done when it failed: shown once, and from outside counted anew.
    assert shown == list(range(FRAMES + 1))
    assert honest == list(range(SEGMENT, 2 * SEGMENT))


def test_a_segment_that_is_given_up_and_a_worker_that_was_thought_lost_count_for_nothing(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, shown = worker.write_segment, list[int]()

    def failing(path: Path, frames: Iterable[Frame], *rest: Any) -> int:
        if path.name.startswith("00001"):
            for _, _frame in zip(range(6), frames, strict=False):
                pass
            raise JobError("a bad spot")
        if path.name.startswith("00002"):
            # The first segment was done by another in the meantime; this one still lives and says how far it is.
            (tmp_path / "out.mp4.job" / "restoring-00000.json").write_text('{"frames": 7}')
        return real(path, frames, *rest)

    monkeypatch.setattr(worker, "write_segment", failing)
    with pytest.raises(JobError, match="a bad spot"):
        restore_video(
            clip, tmp_path / "out.mp4", config=tmp_path / "short.yaml", device="cpu", progress=restored_into(shown)
        )
    assert max(shown) == 2 * SEGMENT
    assert read_status(tmp_path / "out.mp4")["jobs"][0]["frames_done"] == 2 * SEGMENT


def test_what_a_killed_run_had_of_a_segment_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4.job"
    job = JobDirectory.open(path, PLAN)
    state = {"stage": "restore", "frames": 24, "frames_done": 8, "frames_under_way": 5}
    job.state_path.write_text(json.dumps(state))
    job.restoring_path(1).write_text('{"frames": 5}')
    with job_lock(path):
        assert read_status(path)["jobs"][0]["frames_done"] == 13
    assert read_status(path)["jobs"][0]["frames_done"] == 8
    assert job.restoring() == {1: 5}
    assert JobDirectory.open(path, PLAN).restoring() == {}


def test_a_run_that_goes_on_does_not_take_what_a_killed_one_had_for_its_own(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen, options = worker.write_segment, list[int](), {"config": tmp_path / "short.yaml", "device": "cpu"}

    def stopped(path: Path, frames: Iterable[Frame], *rest: Any) -> int:
        if path.name.startswith("00001"):
            raise KeyboardInterrupt
        return real(path, frames, *rest)

    def looked_at(path: Path, frames: Iterable[Frame], *rest: Any) -> int:
        seen.append(read_status(tmp_path / "out.mp4")["jobs"][0]["frames_done"])
        return real(path, frames, *rest)

    monkeypatch.setattr(worker, "write_segment", stopped)
    with pytest.raises(KeyboardInterrupt):
        restore_video(clip, tmp_path / "out.mp4", **options)  # type: ignore[arg-type]
    state = tmp_path / "out.mp4.job" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"frames_under_way": 5}))
    monkeypatch.setattr(worker, "write_segment", looked_at)
    restore_video(clip, tmp_path / "out.mp4", **options)  # type: ignore[arg-type]
    assert seen == [SEGMENT, 2 * SEGMENT]


def test_the_first_pass_never_runs_backwards(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note, shown = tmp_path / "out.mp4.job" / "analyzing.json", list[int]()

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "analyze":
            shown.append(done)
            if done == 10:
                # Word of a worker that is late.
                note.write_text('{"frames": 3}')

    def stopped(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(worker, "analyze_with", stopped)
        restore_video(clip, tmp_path / "out.mp4", device="cpu")
    # A run that was killed had got so far; the first pass starts over.
    note.write_text('{"frames": 20}')
    monkeypatch.setattr(worker, "PROGRESS_INTERVAL", 1e9)
    restore_video(clip, tmp_path / "out.mp4", device="cpu", progress=progress)
    assert shown == sorted(shown) and set(range(FRAMES + 1)) == set(shown)


def test_notes_may_be_half_written_and_very_many_are_not_read(tmp_path: Path) -> None:
    job = JobDirectory.open(tmp_path / "out.mp4.job", PLAN)
    job.restoring_path(3).write_text('{"frames": 7}')
    job.restoring_path(4).write_text('{"fra')
    assert job.restoring() == {3: 7}
    for number in range(MAX_PROGRESS_FILES + 1):
        job.restoring_path(number).write_text('{"frames": 1}')
    assert job.restoring() == {}
