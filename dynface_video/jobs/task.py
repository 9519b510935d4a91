"""A video on its way through the driver: its directory, its segments, its progress, and its output's publication."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dynface_video.config import Settings
from dynface_video.errors import DynfaceError
from dynface_video.jobs.directory import JobDirectory, completed, job_path
from dynface_video.jobs.estimate import Estimate, estimate, frame_bytes
from dynface_video.jobs.executors.base import ANALYZE, ASSEMBLE, RESTORE, Outcome, Performer, SegmentResult
from dynface_video.jobs.failures import disk_errors
from dynface_video.jobs.journal import JobLog
from dynface_video.jobs.lock import job_lock
from dynface_video.jobs.output import Output, VideoFile
from dynface_video.jobs.plan import Plan, Segment
from dynface_video.jobs.record import publish_record
from dynface_video.jobs.segments import segments_of
from dynface_video.jobs.worker import VideoPerformer
from dynface_video.jobs.workers import local_workers
from dynface_video.passes.analysis import Analysis, unrestored_warning
from dynface_video.passes.choosing import resolve
from dynface_video.passes.face_account import face_accounts
from dynface_video.passes.model_cache import ModelCache
from dynface_video.precision import resolve_precision

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, frames done, all frames or None); stages are "analyze", "restore" and "assemble"."""

STATE_INTERVAL = 1.0
"""Seconds between updates of `state.json`."""


def ignore_progress(stage: str, done: int, total: int | None) -> None:
    """The `Progress` of a caller who wants none."""


@dataclass(frozen=True)
class RunOptions:
    """How a job is run; its result does not depend on it.

    Args:
        overwrite: Whether an existing target may be replaced.
        resume: False restarts an unfinished job.
        report: Called with the progress.
        logs: Files to log every call in, beside the job's own.
        networks: Where to keep the networks for later runs in this process; None loads them for this run alone.
    """

    overwrite: bool = False
    resume: bool = True
    report: Progress = ignore_progress
    logs: tuple[Path, ...] = ()
    networks: ModelCache | None = None


@dataclass
class Totals:
    """What was done for a video, in this run and those before it.

    Args:
        frames: Length of the video.
        faces: Crops restored.
        tracks: Face tracks restored.
        skipped_faces: Stretches of visible faces that are not restored.
        skip_reasons: Their number by the kind of reason, and that of tracks not selected.
        unet_evaluations: Network evaluations of the prior.
        computed: Segments restored in this run.
        seconds: Wall time of this run by stage.
        warnings: For the user.
        missing: What of the source is missing in the output, because it cannot be read; empty if nothing is.
        found_faces: What became of every face that was seen, the fields of a `FaceAccount`.
        models: The public networks that took part: name, sha256, licence, commercial_use.
        drawn_faces: Crops restored in which the prior drew detail.
    """

    frames: int = 0
    faces: int = 0
    tracks: int = 0
    skipped_faces: int = 0
    skip_reasons: dict[str, int] = field(default_factory=dict)
    unet_evaluations: int = 0
    computed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    missing: str = ""
    found_faces: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    drawn_faces: int = 0

    def add(self, result: SegmentResult) -> None:
        """Add a finished segment."""
        self.faces += result.faces
        self.drawn_faces += result.drawn_faces
        self.unet_evaluations += result.unet_evaluations
        self.computed += result.computed
        self.warn(result.warnings)

    def warn(self, warnings: Sequence[str]) -> None:
        """Add warnings, each once."""
        self.warnings += [w for w in dict.fromkeys(warnings) if w not in self.warnings]


class RestoreTask:
    """Implements `VideoTask` of the driver.

    Attributes:
        path: The job's directory.
        output: What is made of the segments.
        totals: What was done.
        done: Whether the output is published.
        error: Why the job failed.
        publish: Uploads the complete output; None if it stays where it is.
        record: Path of the record of the restoration, once it is published; None if there is no record.
    """

    def __init__(
        self,
        output: Output,
        settings: Settings,
        plan: Callable[[], Plan],
        options: RunOptions,
        analysis: Analysis | None = None,
    ) -> None:
        """Create a task.

        Args:
            output: What is made of the segments, of which source and where.
            settings: All of them.
            plan: Makes the plan, which reads the whole input.
            options: Of this run.
            analysis: Instead of the first pass; part of the plan.
        """
        info = output.info
        # Of the driver, as in the plan: a worker with another CPU must not choose for itself.
        precision = resolve_precision(settings.execution)
        execution = settings.execution.model_copy(update={"precision": precision})
        self.settings = settings.model_copy(update={"execution": execution})
        self.name, self.target = str(info.path), output.target
        self.batch_size = settings.restoration.batch_size
        self.totals, self.done = Totals(), False
        self.error: DynfaceError | None = None
        self.publish: Callable[[], None] | None = None
        self.record: Path | None = None
        self._info, self.output, self._plan, self._analysis = info, output, plan, analysis
        self._resume, self._report = options.resume, options.report
        self._logs = [JobLog(path) for path in options.logs]
        self.path = job_path(self.target)
        self._lock = ExitStack()
        self._directory: JobDirectory | None = None
        self._began = time.monotonic()
        self._stage, self._frames_done, self._written = ANALYZE, 0, 0.0
        self._restored: set[int] = set()
        self._most_reported = 0
        expected = self.expected()
        self.weight = float(expected.frames or 10**9) * info.width * info.height

    def expected(self) -> Estimate:
        """What the whole job will probably take."""
        execution = self.settings.execution
        mezzanine = self.output.mezzanine if isinstance(self.output, VideoFile) else None
        encodings = (self.output.encoding, mezzanine.settings if mezzanine else self.output.encoding)
        workers = local_workers(execution) or 1
        return estimate(self._info, encodings, workers=workers, on_gpus=uses_gpu(execution.device))

    def already_published(self) -> bool:
        """Whether an earlier run published the output and was then killed; its directory is deleted if so."""
        totals = completed(self.path)
        if totals is None or not self.target.exists():
            return False
        self.totals, self.done = Totals(**totals), True
        with job_lock(self.path):
            JobDirectory(self.path, self._plan()).remove()
        return True

    def begin(self) -> Performer:
        """See `VideoTask`."""
        self._lock.enter_context(job_lock(self.path))
        self._directory = JobDirectory.open(self.path, self._plan(), resume=self._resume)
        if self._analysis is not None and not self.is_analyzed():
            self._analysis.save(self._directory.analysis_path)
        self._logs.append(JobLog(self._directory.log_path))
        self._began = time.monotonic()
        if not self.is_analyzed():
            # An analysis of an earlier run is reported with its frames: none of them were analysed now.
            self._write_state()
            self._report(ANALYZE, 0, self._info.declared_frames)
        return VideoPerformer(self._directory, self._info, self._output_in(self._directory), self.settings)

    def _output_in(self, directory: JobDirectory) -> Output:
        """The output, made in the job's directory, where a worker that was considered lost can do no harm."""
        if isinstance(self.output, VideoFile):
            return replace(self.output, target=directory.output_folder / self.target.name)
        return self.output

    @property
    def directory(self) -> JobDirectory:
        """The job's directory, once it is open."""
        assert self._directory is not None
        return self._directory

    def is_analyzed(self) -> bool:
        """See `VideoTask`."""
        return self.directory.analysis_path.exists()

    def unfinished_segments(self) -> list[Segment]:
        """See `VideoTask`."""
        self._record_time(ANALYZE)
        analysis = resolve(Analysis.load(self.directory.analysis_path))
        self.totals.frames = analysis.frame_count
        self.totals.tracks = sum(track.restore for track in analysis.tracks)
        self.totals.skipped_faces = analysis.skipped_face_count
        self.totals.skip_reasons = dict(analysis.skip_reasons)
        self.totals.found_faces = [asdict(face) for face in face_accounts(analysis)]
        self.totals.warn(analysis.warnings)
        self.totals.missing = analysis.frames.missing
        if not self.totals.tracks:
            self.totals.warn([unrestored_warning(analysis.skip_reasons)])
        self._report(ANALYZE, analysis.frame_count, analysis.frame_count)
        segments = segments_of(analysis, self.settings)
        unfinished = []
        self._stage, self._frames_done = RESTORE, 0
        for segment in segments:
            result = self.directory.finished(segment, analysis)
            if result is None:
                unfinished.append(segment)
            else:
                self._count(result)
        done = len(segments) - len(unfinished)
        if done:
            logger.info("%s: %d of %d segments are already finished", self.name, done, len(segments))
        self._report(RESTORE, self._frames_done, analysis.frame_count)
        self._report_restored()
        # Overwrites the progress that a killed run had made in unfinished segments.
        self._write_state()
        return unfinished

    def _count(self, result: SegmentResult) -> None:
        self._restored.add(result.number)
        self._frames_done += result.frames
        self.totals.add(result)

    def _under_way(self) -> int:
        """Frames done of unfinished segments."""
        return sum(done for number, done in self.directory.restoring().items() if number not in self._restored)

    def _report_restored(self, under_way: int = 0) -> None:
        """Report restored frames if there are more than before: a segment that fails takes no progress back."""
        if self._frames_done + under_way > self._most_reported:
            self._most_reported = self._frames_done + under_way
            self._report(RESTORE, self._most_reported, self.totals.frames)

    def record_outcome(self, outcome: Outcome) -> None:
        """See `VideoTask`."""
        for log in self._logs:
            log.add(self.name, outcome)
        if outcome.call.segment is not None:
            self.directory.restoring_path(outcome.call.segment.number).unlink(missing_ok=True)
        if outcome.failure is None and outcome.call.kind == RESTORE:
            self._count(outcome.value)
            self._report_restored()
        elif outcome.failure is None and outcome.call.kind == ASSEMBLE:
            self.totals.warn(outcome.value)

    def on_frame(self, kind: str, done: int) -> None:
        """Take note of the progress of a call that runs in this process."""
        if kind == ASSEMBLE and self._stage == RESTORE:
            self._record_time(RESTORE)
            self._stage, self._frames_done = ASSEMBLE, 0
        if kind != RESTORE:
            self._advance(done)

    def _advance(self, done: int) -> None:
        """Report frames of the first pass or of joining; late reports and repeated attempts take no progress back."""
        self._frames_done = max(self._frames_done, done)
        total = self._info.declared_frames if self._stage == ANALYZE else self.totals.frames
        self._report(self._stage, self._frames_done, total)

    def update_progress(self) -> None:
        """See `VideoTask`."""
        now = time.monotonic()
        if now - self._written < STATE_INTERVAL:
            return
        self._written, under_way = now, 0
        if self._stage == ANALYZE:
            with suppress(OSError, ValueError):
                self._advance(json.loads(self.directory.analyzing_path.read_text())["frames"])
        elif self._stage == RESTORE:
            under_way = self._under_way()
            self._report_restored(under_way)
        self._write_state(frames_under_way=under_way)

    def _write_state(self, **more: Any) -> None:
        total = self.totals.frames or self._info.declared_frames
        state = {
            "source": self.name,
            "output": str(self.target),
            "stage": self._stage,
            "frames_done": self._frames_done,
            "frames": total,
            "faces": self.totals.faces,
            "seconds": round(time.monotonic() - self._began, 1),
            "time": round(time.time(), 1),
            "process": os.getpid(),
        }
        partial = self.directory.state_path.with_suffix(".tmp")
        with suppress(OSError):
            partial.write_text(json.dumps(state | more))
            os.replace(partial, self.directory.state_path)

    def disk_needed(self) -> int:
        """See `VideoTask`."""
        frames = self.totals.frames or self.expected().frames or 0
        each = frame_bytes(self._info, self.output.encoding)
        # The unfinished segments, and the whole output: the segments are kept until it is complete.
        return int(each * (frames - (self._frames_done if self._stage == RESTORE else 0)) + each * frames)

    def finish(self) -> None:
        """See `VideoTask`."""
        if self._stage != ASSEMBLE:
            self._record_time(RESTORE)
        self._record_time(ASSEMBLE)
        self._report(ASSEMBLE, self.totals.frames, self.totals.frames)
        if self.publish is None:
            # Before the output is published: `status` believes the line only once the job's directory is gone.
            self._log_end(None)
        with disk_errors(self.directory.path):
            # First the record: an output without one would not be restored again to get it.
            self.record = publish_record(self.directory.path, self._made(), self.target, asdict(self.totals))
            self.directory.complete(asdict(self.totals))
        if isinstance(self.output, VideoFile):
            os.replace(self._made(), self.target)
        self.directory.remove()
        if self.publish is not None:
            self.publish()
            self._log_end(None)
        self.done = True
        self._lock.close()

    def _made(self) -> Path:
        """The complete output before it is published; a folder of images is in its place already."""
        if isinstance(self.output, VideoFile):
            return self.directory.output_folder / self.target.name
        return self.target

    def fail(self, error: DynfaceError) -> None:
        """See `VideoTask`."""
        self.error = error
        self._log_end(str(error))
        if self._directory is not None:
            self._write_state(error=str(error))
        self._lock.close()

    def suspend(self) -> None:
        """See `VideoTask`."""
        if self._directory is not None:
            self._write_state(stopped=True)
        self._lock.close()

    def _log_end(self, error: str | None) -> None:
        for log in self._logs:
            log.end(self.name, self.path, error)

    def _record_time(self, stage: str) -> None:
        """Record that a stage ended: its time is what has passed since the stages before it."""
        self.totals.seconds[stage] = (
            time.monotonic() - self._began - sum(spent for name, spent in self.totals.seconds.items() if name != stage)
        )


def uses_gpu(device: str) -> bool:
    """Whether a device by its name in the settings is a GPU."""
    if device == "auto":
        import torch

        return torch.cuda.is_available()
    return device != "cpu"
