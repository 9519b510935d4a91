"""The driver of one video: probe, plan, analyse, restore segment by segment, join."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dynface_video.config import Settings
from dynface_video.errors import InputError
from dynface_video.faces.detect import make_detector
from dynface_video.faces.landmarks import LandmarkLocator
from dynface_video.jobs.analysis import Analysis
from dynface_video.jobs.analyze import analyze
from dynface_video.jobs.directory import JobDirectory, SegmentResult, alone
from dynface_video.jobs.disk import disk_errors
from dynface_video.jobs.local import run_local
from dynface_video.jobs.plan import Plan, Segment, cut_segments, file_digest, folder_digest
from dynface_video.jobs.worker import WorkerSpec
from dynface_video.media.assemble import assemble
from dynface_video.media.encoding import LOSSLESS
from dynface_video.media.interlace import treated_as
from dynface_video.media.mezzanine import Mezzanine
from dynface_video.media.probe import VideoInfo, probe
from dynface_video.media.write import EncodeSettings, choose_encoding
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
        output = settings.output
        self.info: VideoInfo = treated_as(probe(source), output.interlaced)
        wanted: EncodeSettings = choose_encoding(
            self.info,
            target,
            output.codec,
            output.crf,
            preset=output.encoder_preset,
            pixel_format=output.pix_fmt,
            interlaced=self.info.interlaced and output.interlaced != "deinterlace",
        )
        self.mezzanine = Mezzanine(wanted.at_once()) if output.mezzanine and wanted.codec not in LOSSLESS else None
        self.encoding = wanted if self.mezzanine is None else wanted.without_loss()

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
        if self.mezzanine is not None:
            paths = [self.mezzanine.encode(paths, self.info, lambda n: report("assemble", n, analysis.frame_count))]
        assembly = assemble(paths, self.info, self.target, analysis.frames.pts)
        report("assemble", analysis.frame_count, analysis.frame_count)
        seconds["assemble"] = time.perf_counter() - began
        self.directory.remove()
        warnings = [*analysis.warnings, *(w for result in results for w in result.warnings), *assembly.warnings]
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


def analyze_with(info: VideoInfo, settings: Settings, report: Progress) -> Analysis:
    """The first pass over a video with the models that the settings name."""
    restorer = FaceRestorer.from_settings(settings)
    folder = model_folder(settings.models)
    locator = LandmarkLocator.from_folder(folder / "landmarks", restorer.device)
    detector = make_detector(settings.detection, models=folder, locator=locator, device=restorer.device)
    report("analyze", 0, info.declared_frames)
    return analyze(
        info,
        detector,
        locator,
        restorer,
        settings,
        on_frame=lambda done: report("analyze", done, info.declared_frames),
    )


def check_paths(source: Path, target: Path, *, overwrite: bool) -> None:
    """Raise InputError where the output could not be written or would destroy something."""
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target} is the input itself; choose another output")
    if target.is_dir():
        raise InputError(f"{target} is a folder; name the output file")
    if target.exists() and not overwrite:
        raise InputError(f"{target} already exists; choose another name or allow overwriting (--overwrite)")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist; make it first")


def make_plan(source: Path, settings: Settings, encoding: EncodeSettings) -> Plan:
    """The plan of restoring a file with these settings: what the output depends on, and nothing else."""
    import dataclasses

    import dynface_video

    relevant = settings.model_dump(mode="json", exclude={"execution", "output"})
    relevant["output"] = dataclasses.asdict(encoding) | {
        "segment_frames": settings.output.segment_frames,
        "interlaced": settings.output.interlaced,
    }
    return Plan(
        source=str(source),
        input_digest=file_digest(source),
        settings=relevant,
        model_digest=folder_digest(model_folder(settings.models)),
        version=dynface_video.__version__,
    )
