"""A worker: holds the models and a job, and does the job's segments one by one, in this process or in a Ray actor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dynface_video.config import Settings
from dynface_video.errors import JobError
from dynface_video.jobs.analysis import Analysis
from dynface_video.jobs.directory import JobDirectory, SegmentResult
from dynface_video.jobs.disk import disk_errors
from dynface_video.jobs.fields import deinterlaced_span, restored_fields
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.restore import Work, restored_frames
from dynface_video.media.probe import VideoInfo
from dynface_video.media.read import Frame, read_span
from dynface_video.media.write import EncodeSettings, write_segment
from dynface_video.restorer import FaceRestorer


@dataclass(frozen=True)
class WorkerSpec:
    """All that a worker needs to be made, here or in another process: paths and settings, no models, no frames.

    threads: of torch; None leaves its own choice
    """

    job: JobDirectory
    info: VideoInfo
    encoding: EncodeSettings
    settings: Settings
    threads: int | None = None

    def make(self) -> SegmentWorker:
        """Load the models and the analysis."""
        import cv2
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
            cv2.setNumThreads(self.threads)
        restorer = FaceRestorer.from_settings(self.settings)
        return SegmentWorker(self.job, self.info, self.encoding, self.settings, restorer)


class SegmentWorker:
    """Restores segments of one job. It shares nothing with other workers but the job's directory."""

    def __init__(
        self, job: JobDirectory, info: VideoInfo, encoding: EncodeSettings, settings: Settings, restorer: FaceRestorer
    ) -> None:
        self.job, self.info, self.encoding, self.settings, self.restorer = job, info, encoding, settings, restorer
        self.analysis = Analysis.load(job.analysis_path)

    def run(self, segment: Segment) -> SegmentResult:
        """Restore, encode and record one segment; raises JobError when the disk is full or frames are missing."""
        began, work, warnings = time.perf_counter(), Work(), list[str]()
        path = self.job.segment_path(segment, self.analysis)
        with disk_errors(self.job.path):
            count = write_segment(path, self._restored(segment, work, warnings), self.info, self.encoding)
        if count != segment.stop - segment.start:
            raise JobError(
                f"{self.info.path}: frames {segment.start} to {segment.stop - 1} gave {count} frames; "
                "has the file changed since it was analysed? start over with --fresh"
            )
        seconds = work.seconds | {"encode": time.perf_counter() - began - sum(work.seconds.values())}
        result = SegmentResult(
            segment.number, count, work.faces, work.unet_evaluations, seconds, tuple(dict.fromkeys(warnings))
        )
        with disk_errors(self.job.path):
            self.job.record(segment, self.analysis, result)
        return result

    def _restored(self, segment: Segment, work: Work, warnings: list[str]) -> Iterator[Frame]:
        info, start, stop = self.info, segment.start, segment.stop
        # A film has thousands of tracks: what follows looks through them for every frame.
        analysis = replace(self.analysis, tracks=tuple(self.analysis.faces_in(start, stop)))
        seed = self.settings.restoration.seed
        if not info.interlaced:
            frames = read_span(info, analysis.frames, start, stop, on_warning=warnings.append)
        elif self.encoding.interlaced:
            return restored_fields(info, analysis, self.restorer, start, stop, seed=seed, work=work, warnings=warnings)
        else:
            frames = deinterlaced_span(info, analysis, start, stop, warnings)
        return restored_frames(frames, info, analysis, self.restorer, seed=seed, work=work)
