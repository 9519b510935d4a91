"""Segments done one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dynface_video.jobs.directory import SegmentResult
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.worker import WorkerSpec


def run_local(spec: WorkerSpec, segments: Iterable[Segment]) -> Iterator[SegmentResult]:
    """Restore the segments in order; the worker, and with it the models, is made only when there is something to do."""
    worker = None
    for segment in segments:
        worker = worker or spec.make()
        yield worker.run(segment)
