"""The segments of a job, by its analysis and settings."""

from __future__ import annotations

from dynface_video.config import Settings
from dynface_video.jobs.plan import Segment, cut_around
from dynface_video.passes.analysis import Analysis


def segments_of(analysis: Analysis, settings: Settings) -> list[Segment]:
    """Cut a video into segments, at shots and at the source's keyframes where one is near.

    Args:
        analysis: The first pass's result.
        settings: All of them.
    """
    good = {shot.start for shot in analysis.shots} | set(analysis.frames.keyframes())
    return cut_around(analysis.untouched(), analysis.frame_count, settings.output.segment_frames, good)
