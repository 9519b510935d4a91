"""Progress within a segment: frames are counted as they are done, each once, and never taken back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from identity import stand_in

from dynface_video.api import restore_video
from dynface_video.demo_clip import write_clip
from dynface_video.errors import JobError
from dynface_video.jobs import task, worker
from dynface_video.jobs.directory import MOST_NOTES, JobDirectory, alone
from dynface_video.jobs.plan import Plan
from dynface_video.jobs.status import read_status
from dynface_video.media.read import Frame

FRAMES, SEGMENT = 24, 8
PLAN = Plan("film.mp4", "aa", {}, "mm", "0.1.0")


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    monkeypatch.setattr(worker, "NOTE_EVERY", 0.0)
    monkeypatch.setattr(task, "STATE_EVERY", 0.0)
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(FRAMES))
    write_clip(tmp_path / "clip.mp4", pictures, crf=20, sound=None)
    (tmp_path / "short.yaml").write_text(f"output:\n  segment_frames: {SEGMENT}\n  encoder_preset: ultrafast\n")
    return tmp_path / "clip.mp4"


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

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "restore":
            shown.append(done)

    monkeypatch.setattr(worker, "write_segment", failing)
    restore_video(clip, tmp_path / "out.mp4", config=tmp_path / "short.yaml", device="cpu", progress=progress)
    assert tries == ["00000", "00001", "00001", "00002"]
    # Five frames of the second segment were done when it failed: shown once, and from outside counted anew.
    assert shown == list(range(FRAMES + 1))
    assert honest == list(range(SEGMENT, 2 * SEGMENT))


def test_what_a_killed_run_had_of_a_segment_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4.job"
    job = JobDirectory.open(path, PLAN)
    state = {"stage": "restore", "frames": 24, "frames_done": 8, "frames_under_way": 5}
    job.state_path.write_text(json.dumps(state))
    job.restoring_path(1).write_text('{"frames": 5}')
    with alone(path):
        assert read_status(path)["jobs"][0]["frames_done"] == 13
    assert read_status(path)["jobs"][0]["frames_done"] == 8
    assert job.restoring() == {1: 5}
    assert JobDirectory.open(path, PLAN).restoring() == {}


def test_notes_may_be_half_written_and_very_many_are_not_read(tmp_path: Path) -> None:
    job = JobDirectory.open(tmp_path / "out.mp4.job", PLAN)
    job.restoring_path(3).write_text('{"frames": 7}')
    job.restoring_path(4).write_text('{"fra')
    assert job.restoring() == {3: 7}
    for number in range(MOST_NOTES + 1):
        job.restoring_path(number).write_text('{"frames": 1}')
    assert job.restoring() == {}
