"""A worker executes the calls of a video and tells how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynface_video.api import restore_video
from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import load_settings
from dynface_video.errors import InputError, JobError
from dynface_video.jobs import worker
from dynface_video.jobs.executors.base import ANALYZE, ASSEMBLE, RESTORE, Call, Performer
from dynface_video.jobs.task import RunOptions
from dynface_video.jobs.video_job import VideoJob
from dynface_video.passes import networks
from identity import stand_in

FRAMES = 12


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VideoJob:
    stand_in(monkeypatch.setattr, centre=(48, 32))
    y, x = np.mgrid[:64, :96]
    pictures = (np.repeat((((x + y) * 2 + 5 * i) % 256)[..., None], 3, axis=2).astype(np.uint8) for i in range(FRAMES))
    write_clip(tmp_path / "clip.mp4", pictures, crf=20, sound=None)
    (tmp_path / "short.yaml").write_text("output:\n  segment_frames: 4\n  encoder_preset: ultrafast\n")
    settings = load_settings("mini", tmp_path / "short.yaml", {"device": "cpu"})
    return VideoJob(tmp_path / "clip.mp4", tmp_path / "out.mp4", settings, RunOptions())


def perform(performer: Performer, call: Call, cache: dict[str, Any], seen: list[int] | None = None) -> Any:
    return performer.perform(call, cache, (seen if seen is not None else []).append)


def test_the_calls_of_a_video_make_its_output(job: VideoJob) -> None:
    performer, cache, seen = job.task.begin(), dict[str, Any](), list[int]()
    assert perform(performer, Call(0, ANALYZE), cache, seen) == FRAMES and seen == list(range(1, FRAMES + 1))
    segments = job.task.unfinished_segments()
    assert [(segment.start, segment.stop) for segment in segments] == [(0, 4), (4, 8), (8, 12)]
    seen.clear()
    results = [perform(performer, Call(0, RESTORE, segment), cache, seen) for segment in segments]
    # Frame n + 1 is requested when n frames are encoded.
    assert seen == [0, 1, 2, 3] * 3
    assert [(result.number, result.frames, result.faces) for result in results] == [(0, 4, 4), (1, 4, 4), (2, 4, 4)]
    assert all(result.peak_memory > 1 << 20 and result.node and result.computed for result in results)
    assert not perform(performer, Call(0, RESTORE, segments[1]), cache).computed
    assert perform(performer, Call(0, ASSEMBLE), cache) == ()
    assert (job.task.directory.output_folder / "out.mp4").exists()
    job.task.suspend()


def test_the_analysis_of_an_earlier_run_is_kept(job: VideoJob, monkeypatch: pytest.MonkeyPatch) -> None:
    performer = job.task.begin()
    perform(performer, Call(0, ANALYZE), {})

    def again(*arguments: object, **named: object) -> object:
        raise AssertionError("analysed twice")

    monkeypatch.setattr(worker, "analyze_with", again)
    assert perform(performer, Call(0, ANALYZE), {}) == FRAMES
    job.task.suspend()


MISTYPED = [({"faces": "7"}, "person 7 is not in the video"), ({"exclude": "all@00:00.47-"}, "no frame lies between")]


@pytest.mark.parametrize(("mistyped", "said"), MISTYPED)
def test_a_choice_that_cannot_be_made_costs_no_second_first_pass(
    job: VideoJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistyped: dict[str, str], said: str
) -> None:
    real, passes = networks.analyze, list[int]()

    def counted(*arguments: Any, **named: Any) -> Any:
        passes.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(networks, "analyze", counted)
    options: dict[str, Any] = {"config": tmp_path / "short.yaml", "device": "cpu"}
    with pytest.raises(InputError, match=said):
        restore_video(tmp_path / "clip.mp4", tmp_path / "out.mp4", **options, **mistyped)
    with pytest.raises(InputError, match=r"person 1\d is not in the video"):
        restore_video(tmp_path / "clip.mp4", tmp_path / "out.mp4", **options, faces="12")
    result = restore_video(tmp_path / "clip.mp4", tmp_path / "out.mp4", **options, faces="1")
    assert passes == [1] and result.faces == FRAMES
    restore_video(tmp_path / "clip.mp4", tmp_path / "again.mp4", **options, faces="1")
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "out.mp4").read_bytes()


def test_other_settings_of_the_first_pass_repeat_it(job: VideoJob, tmp_path: Path) -> None:
    source, target = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    with pytest.raises(InputError):
        restore_video(source, target, device="cpu", faces="7")
    assert restore_video(source, target, device="cpu", faces="all", minimum_size=500).faces == 0


def test_a_time_after_the_end_is_told_before_anything_is_done(job: VideoJob, tmp_path: Path) -> None:
    for options in ({"between": "10-"}, {"exclude": "1@10-20"}, {"strengths": "1=0.3@10-"}):
        with pytest.raises(InputError, match=r"no frame lies between 00:10-.*; the video ends at 00:00\.48"):
            restore_video(tmp_path / "clip.mp4", tmp_path / "out.mp4", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out.mp4.job").exists()


def test_an_attempt_with_a_smaller_batch_uses_it(job: VideoJob, monkeypatch: pytest.MonkeyPatch) -> None:
    performer, cache, batches = job.task.begin(), dict[str, Any](), list[int]()
    perform(performer, Call(0, ANALYZE), cache)
    (first, second, _), real = job.task.unfinished_segments(), worker.SegmentWorker.run

    def run(self: worker.SegmentWorker, *arguments: Any) -> Any:
        batches.append(self.models.pipeline.settings.batch_size)
        return real(self, *arguments)

    monkeypatch.setattr(worker.SegmentWorker, "run", run)
    perform(performer, Call(0, RESTORE, first, batch=2), cache)
    perform(performer, Call(0, RESTORE, second), cache)
    assert batches[0] == 2 != batches[1]
    job.task.suspend()


@pytest.mark.parametrize(("error", "kept"), [(MemoryError(), False), (JobError("a bad spot"), True)])
def test_models_are_dropped_when_memory_ran_out_and_kept_otherwise(
    error: Exception, kept: bool, job: VideoJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    performer, cache = job.task.begin(), dict[str, Any]()
    perform(performer, Call(0, ANALYZE), cache)
    assert cache

    def fail(*arguments: object) -> object:
        raise error

    monkeypatch.setattr(worker, "write_segment", fail)
    with pytest.raises(type(error)):
        perform(performer, Call(0, RESTORE, job.task.unfinished_segments()[0]), cache)
    assert bool(cache) == kept
    job.task.suspend()


def test_missing_frames_are_an_error(job: VideoJob, monkeypatch: pytest.MonkeyPatch) -> None:
    performer = job.task.begin()
    perform(performer, Call(0, ANALYZE), {})
    monkeypatch.setattr(worker, "write_segment", lambda *arguments: 3)
    with pytest.raises(JobError, match="frames 0 to 3 gave 3 frames"):
        perform(performer, Call(0, RESTORE, job.task.unfinished_segments()[0]), {})
    job.task.suspend()


def test_progress_is_written_now_and_then_for_a_driver_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, seen, path = [0.0], list[int](), tmp_path / "progress.json"
    monkeypatch.setattr(worker.time, "monotonic", lambda: clock[0])
    report: Callable[[int], None] = worker._with_progress_file(path, seen.append)
    for count, now in ((1, 0.5), (2, worker.PROGRESS_INTERVAL), (3, worker.PROGRESS_INTERVAL + 0.5)):
        clock[0] = now
        report(count)
    assert seen == [1, 2, 3] and json.loads(path.read_text()) == {"frames": 2}
    clock[0] *= 3
    worker._with_progress_file(tmp_path / "missing" / "progress.json", seen.append)(4)
    assert seen == [1, 2, 3, 4]
