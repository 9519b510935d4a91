"""A worker: executes the calls of a video, in this process or in one of a pool, with models kept between calls."""

from __future__ import annotations

import functools
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dynface_video.config import Settings
from dynface_video.errors import RESTART, JobError
from dynface_video.jobs.directory import JobDirectory
from dynface_video.jobs.executors.base import ANALYZE, RESTORE, Call, SegmentResult
from dynface_video.jobs.failures import disk_errors, is_out_of_memory
from dynface_video.jobs.output import Output
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.record import save_record
from dynface_video.jobs.segments import segments_of
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame
from dynface_video.media.output.stream_copy import copy_segment
from dynface_video.media.output.write import EncodeSettings, write_segment
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve, with_strengths
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models, analyze_with
from dynface_video.passes.prefetch import Prefetch, frames_ahead, timed
from dynface_video.passes.restore import PassContext, Work
from dynface_video.passes.span import restored_span
from dynface_video.threads import network_threads

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL = 2.0
"""Seconds between updates of a progress file."""


@dataclass(frozen=True)
class VideoPerformer:
    """Implements `Performer` for a video: paths and settings, no models, no frames.

    Args:
        job: The job's directory.
        info: The source.
        output: What is made of the segments, in the job's directory.
        settings: All of them.
    """

    job: JobDirectory
    info: VideoInfo
    output: Output
    settings: Settings

    def preload(self, cache: dict[str, Any]) -> None:
        """See `Performer`."""
        with network_threads(self.settings.execution.threads):
            self._models(cache).pipeline.preload()

    def crash_marker(self, call: Call) -> Path:
        """See `Performer`."""
        return self.job.crash_marker(call)

    def perform(self, call: Call, cache: dict[str, Any], on_frame: Callable[[int], None]) -> Any:
        """Execute a call.

        Returns:
            Frames of the first pass, a `SegmentResult`, or the warnings of joining.
        """
        try:
            with disk_errors(self.job.path), network_threads(self.settings.execution.threads):
                if call.kind == ANALYZE:
                    return self._analyze(cache, on_frame)
                if call.kind == RESTORE:
                    assert call.segment is not None
                    seen = _with_progress_file(self.job.restoring_path(call.segment.number), on_frame)
                    return self._worker(cache, call.batch).run(call.segment, seen)
                return self._assemble(cache, on_frame)
        except Exception as error:
            if is_out_of_memory(error):
                if "networks" in cache:
                    # It may be kept elsewhere, too.
                    cache["networks"].clear()
                cache.clear()
                torch.cuda.empty_cache()
            raise

    def _analyze(self, cache: dict[str, Any], on_frame: Callable[[int], None]) -> int:
        path, found = self.job.analysis_path, self.job.found_path
        if not path.exists():
            seen = _with_progress_file(self.job.analyzing_path, on_frame)
            analyze_with(self._models(cache), self.info, self.settings, seen, kept=found).save(path)
            found.unlink(missing_ok=True)
        return Analysis.load(path).frame_count

    def _assemble(self, cache: dict[str, Any], on_frame: Callable[[int], None]) -> tuple[str, ...]:
        # From the file, like every worker: its numbers are rounded, and a user may have edited it.
        analysis = resolve(Analysis.load(self.job.analysis_path))
        segments = segments_of(analysis, self.settings)
        paths = [self.job.segment_path(segment, analysis) for segment in segments]
        warnings: tuple[str, ...] = ()
        if self.settings.output.record:
            # Before joining, which publishes a folder of images; its time is that of joining.
            on_frame(0)
            pixel_format = self.output.encoding.pixel_format
            warnings = save_record(self.job, self.info, self.settings, pixel_format, self._models(cache))
        self.job.output_folder.mkdir(exist_ok=True)
        return (*self.output.finish(paths, analysis.frames.pts, self.job.path, on_frame), *warnings)

    def _models(self, cache: dict[str, Any]) -> Models:
        networks: ModelCache = cache.setdefault("networks", ModelCache())
        return networks.get(self.settings)

    def _worker(self, cache: dict[str, Any], batch: int | None) -> SegmentWorker:
        key = (self.job.path, batch)
        if cache.get("worker", (None,))[0] != key:
            models = self._models(cache)
            if batch is not None:
                models = replace(models, pipeline=models.pipeline.with_settings(batch_size=batch))
            worker = SegmentWorker(self.job, self.info, self.output.encoding, self.settings, models)
            cache["worker"] = (key, worker)
        found: SegmentWorker = cache["worker"][1]
        return found


class SegmentWorker:
    """Restores segments of one job. It shares only the job's directory with other workers."""

    def __init__(
        self, job: JobDirectory, info: VideoInfo, encoding: EncodeSettings, settings: Settings, models: Models
    ) -> None:
        self.job, self.info, self.encoding, self.settings, self.models = job, info, encoding, settings, models
        self.analysis = resolve(Analysis.load(job.analysis_path))

    @functools.cached_property
    def _plan(self) -> Analysis:
        """The analysis with the starting steps of all strengths; segments are named by the one without."""
        return with_strengths(self.analysis, self.models.pipeline)

    def run(self, segment: Segment, on_frame: Callable[[int], None]) -> SegmentResult:
        """Restore, encode and record a segment, unless it is finished.

        Args:
            segment: The segment.
            on_frame: Called with the number of frames done.

        Raises:
            JobError: Frames are missing, or cannot be restored.
        """
        # A worker may be lost between finishing a segment and reporting it.
        finished = self.job.finished(segment, self.analysis)
        if finished is not None:
            return finished
        began, work, warnings = time.perf_counter(), Work(), list[str]()
        count = self._write(segment, work, warnings, on_frame)
        if count != segment.stop - segment.start:
            raise JobError(
                f"{self.info.path}: frames {segment.start} to {segment.stop - 1} gave {count} frames; "
                f"has the file changed since it was analysed? {RESTART}"
            )
        result = SegmentResult(
            segment.number,
            count,
            work.faces,
            work.unet_evaluations,
            work.seconds,
            tuple(dict.fromkeys(warnings)),
            peak_memory=_peak_memory(),
            peak_gpu_memory=torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0,
            node=socket.gethostname(),
            elapsed=time.perf_counter() - began,
            drawn_faces=work.drawn_faces,
        )
        self.job.record(segment, self.analysis, result)
        return result

    def _write(self, segment: Segment, work: Work, warnings: list[str], on_frame: Callable[[int], None]) -> int:
        path = self.job.segment_path(segment, self.analysis)
        if segment.copied and self.encoding.parameter_set:
            return copy_segment(path, self.info, self.analysis.frames, segment.start, segment.stop)
        if any(face.starting_steps.any() for face in self._plan.faces_in(segment.start, segment.stop)):
            # While the first frames are decoded and regressed.
            self.models.pipeline.preload()
        chosen = self.settings.restoration
        frames = restored_span(
            PassContext(self.info, self._plan, self.models.pipeline, chosen.seed, chosen.grain, self.models.parser),
            segment.start,
            segment.stop,
            keep_fields=self.encoding.interlaced,
            work=work,
            warnings=warnings,
        )
        began, waited = time.perf_counter(), dict[str, float]()
        with Prefetch(frames, frames_ahead(self.info.width, self.info.height)) as restored:
            counted = _counted(timed(restored, waited, "frames"), on_frame)
            count = write_segment(path, counted, self.info, self.encoding)
        work.add("encode", time.perf_counter() - began - sum(waited.values()))
        return count


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _with_progress_file(path: Path, on_frame: Callable[[int], None]) -> Callable[[int], None]:
    """Call `on_frame`, and write the progress to a file for a driver in another process."""
    written = time.monotonic()

    def report(count: int) -> None:
        nonlocal written
        if time.monotonic() - written >= PROGRESS_INTERVAL:
            written = time.monotonic()
            # A full disk must not end the call here.
            with suppress(OSError):
                path.write_text(json.dumps({"frames": count}))
        on_frame(count)

    return report


def _counted(frames: Iterable[Frame], on_frame: Callable[[int], None]) -> Iterator[Frame]:
    """The frames, counted: when one is requested, those before it are encoded."""
    for done, frame in enumerate(frames):
        on_frame(done)
        yield frame
