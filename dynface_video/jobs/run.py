"""The driver of one video: probe, plan, analyse, restore segment by segment, join."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dynface_video
from dynface_video.config import Settings
from dynface_video.errors import InputError
from dynface_video.faces.detect import FaceDetector, make_detector
from dynface_video.faces.landmarks import LandmarkLocator
from dynface_video.jobs.analysis import Analysis
from dynface_video.jobs.analyze import analyze
from dynface_video.jobs.directory import JobDirectory, SegmentResult, alone
from dynface_video.jobs.disk import disk_errors
from dynface_video.jobs.local import run_local
from dynface_video.jobs.output import choose_output
from dynface_video.jobs.plan import Plan, Segment, cut_segments, folder_digest
from dynface_video.jobs.source import look_at, source_digest
from dynface_video.jobs.worker import WorkerSpec
from dynface_video.media.probe import VideoInfo
from dynface_video.media.write import EncodeSettings
from dynface_video.models.registry import model_folder
from dynface_video.restorer import FaceRestorer, resolve_device

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int | None], None]
"""Told (stage, frames done, frames in all or None); stages are "analyze", "restore" and "assemble"."""


@dataclass(frozen=True)
class JobResult:
    """What a job did. seconds: wall time by stage; warnings: what the user should know, each once."""

    analysis: Analysis
    segments: tuple[SegmentResult, ...]
    seconds: dict[str, float]
    warnings: tuple[str, ...]


class VideoJob:
    """One video to be restored into one file."""

    def __init__(self, source: Path, target: Path, settings: Settings, *, overwrite: bool, fresh: bool) -> None:
        """Check that the source, the target and the encoder can be used; raises InputError."""
        # Workers on other nodes do not share this process's folder.
        source, target = source.absolute(), target.absolute()
        check_paths(source, target, overwrite=overwrite)
        if settings.execution.workers == 1:
            resolve_device(settings.execution.device)
        self.source, self.target, self.settings, self.fresh = source, target, settings, fresh
        self.info: VideoInfo = look_at(source, settings)
        self.output = choose_output(self.info, target, settings.output)
        self.encoding: EncodeSettings = self.output.encoding

    def run(self, progress: Progress | None = None) -> JobResult:
        """Do what is left of the job; on success only the target remains.

        Raises JobError when the job's directory holds another job, or when something fails; what is finished is kept.
        """
        path = self.target.with_name(f"{self.target.name}.job")
        with alone(path), disk_errors(path):
            plan = make_plan(self.source, self.settings, self.encoding)
            self.directory = JobDirectory.open(path, plan, fresh=self.fresh)
            return self._run_all(progress or (lambda stage, done, total: None))

    def _run_all(self, report: Progress) -> JobResult:
        seconds: dict[str, float] = {}
        began = time.perf_counter()
        analysis = self._analyze(report)
        seconds["analyze"] = time.perf_counter() - began
        began = time.perf_counter()
        segments = self.segments(analysis)
        results = self._restore(segments, analysis, report)
        seconds["restore"] = time.perf_counter() - began
        began = time.perf_counter()
        paths = [self.directory.segment_path(segment, analysis) for segment in segments]
        report("assemble", 0, analysis.frame_count)
        losses = self.output.finish(
            paths, analysis.frames.pts, self.directory.path, lambda n: report("assemble", n, analysis.frame_count)
        )
        report("assemble", analysis.frame_count, analysis.frame_count)
        seconds["assemble"] = time.perf_counter() - began
        self.directory.remove()
        warnings = [*analysis.warnings, *(w for result in results for w in result.warnings), *losses]
        return JobResult(analysis, tuple(results), seconds, tuple(dict.fromkeys(warnings)))

    def segments(self, analysis: Analysis) -> list[Segment]:
        """The segments of the video: cut at shots and at the source's keyframes where one is near."""
        good = {shot.start for shot in analysis.shots} | set(analysis.frames.keyframes())
        return cut_segments(analysis.frame_count, self.settings.output.segment_frames, good)

    def _analyze(self, report: Progress) -> Analysis:
        path = self.directory.analysis_path
        if path.exists():
            logger.info("the analysis of %s is there already", self.source)
        else:
            analyze_with(self.info, self.settings, report).save(path)
        # What is on disk is what the workers read: rounded, perhaps edited. The driver must go by the same numbers.
        return Analysis.load(path)

    def _restore(self, segments: list[Segment], analysis: Analysis, report: Progress) -> list[SegmentResult]:
        finished = {s.number: self.directory.finished(s, analysis) for s in segments}
        results = [result for result in finished.values() if result is not None]
        left = [segment for segment in segments if finished[segment.number] is None]
        done = sum(result.frames for result in results)
        if results:
            logger.info("%d of %d segments are done already", len(results), len(segments))
        report("restore", done, analysis.frame_count)
        workers = min(self.settings.execution.workers, len(left))
        for result in self._run(left, workers):
            results.append(result)
            done += result.frames
            report("restore", done, analysis.frame_count)
        return results

    def _run(self, segments: list[Segment], workers: int) -> Iterator[SegmentResult]:
        spec = WorkerSpec(self.directory, self.info, self.encoding, self.settings)
        if workers <= 1:
            return run_local(spec, segments)
        from dynface_video.jobs.ray_executor import run_on_ray

        return run_on_ray(spec, segments, workers=workers)


@dataclass(frozen=True)
class Models:
    """What finds and restores faces."""

    restorer: FaceRestorer
    locator: LandmarkLocator
    detector: FaceDetector


def load_models(settings: Settings) -> Models:
    """Load the models that the settings name; raises ModelError where they are missing."""
    restorer = FaceRestorer.from_settings(settings)
    folder = model_folder(settings.models)
    locator = LandmarkLocator.from_folder(folder / "landmarks", restorer.device)
    detector = make_detector(settings.detection, models=folder, locator=locator, device=restorer.device)
    return Models(restorer, locator, detector)


def analyze_with(info: VideoInfo, settings: Settings, report: Progress) -> Analysis:
    """The first pass over a video with the models that the settings name."""
    models = load_models(settings)
    report("analyze", 0, info.declared_frames)
    return analyze(
        info,
        models.detector,
        models.locator,
        models.restorer,
        settings,
        on_frame=lambda done: report("analyze", done, info.declared_frames),
    )


def check_paths(source: Path, target: Path, *, overwrite: bool) -> None:
    """Raise InputError where the output could not be written or would destroy something."""
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target} is the input itself; choose another output")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(f"the folder {target} is not empty; choose another or allow overwriting (--overwrite)")
    if target.is_file() and not overwrite:
        raise InputError(f"{target} already exists; choose another name or allow overwriting (--overwrite)")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist; make it first")


def make_plan(source: Path, settings: Settings, encoding: EncodeSettings) -> Plan:
    """The plan of restoring a video with these settings."""
    output = dataclasses.asdict(encoding) | {
        "segment_frames": settings.output.segment_frames,
        "interlaced": settings.output.interlaced,
    }
    return describe_plan(source, source_digest(source), settings, output)


def describe_plan(source: Path, digest: str, settings: Settings, output: dict[str, Any]) -> Plan:
    """A plan: what the output depends on, and nothing else. digest: of the source; output: how it is encoded."""
    relevant = settings.model_dump(mode="json", exclude={"execution", "output"})
    return Plan(
        source=str(source),
        input_digest=digest,
        settings=relevant | {"output": output},
        model_digest=folder_digest(model_folder(settings.models)),
        version=dynface_video.__version__,
    )
