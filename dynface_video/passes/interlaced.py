"""The second pass over interlaced video: each field is restored as a picture of its own, then they are woven again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame, read_span
from dynface_video.media.pixels.interlace import Fields, first_fields, split_fields, weave
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.restore import PassContext, Work, restored_frames, span_with_halo


def deinterlaced_span(
    info: VideoInfo, analysis: Analysis, start: int, stop: int, warnings: list[str]
) -> Iterator[Frame]:
    """The frames start .. stop - 1, those marked as interlaced made progressive."""
    for frame in first_fields(_with_neighbours(info, analysis, start, stop, warnings), marked_only=True):
        if start <= frame.index < stop:
            yield frame


def restored_fields(context: PassContext, start: int, stop: int, *, work: Work, warnings: list[str]) -> Iterator[Frame]:
    """The frames start .. stop - 1 with the faces of both fields restored; frames without a face are unchanged."""
    waiting: deque[Fields] = deque()
    info, analysis = context.info, context.analysis
    doubled = replace(context, analysis=by_field(analysis))
    first_field, last_field = span_with_halo(doubled.analysis, context.pipeline, 2 * start, 2 * stop)
    from_frame, to_frame = first_field // 2, -(-last_field // 2)

    def pictures() -> Iterator[Frame]:
        for fields in split_fields(_with_neighbours(info, analysis, from_frame, to_frame, warnings)):
            if start <= fields.frame.index < stop:
                waiting.append(fields)
            if from_frame <= fields.frame.index < to_frame:
                yield from (fields.first, fields.second)

    restored = restored_frames(pictures(), doubled, 2 * start, 2 * stop, work=work)
    for first, second in zip(restored, restored, strict=True):
        fields = waiting.popleft()
        if first is fields.first and second is fields.second:
            yield fields.frame
        else:
            yield replace(fields.frame, picture=weave(fields, first.picture, second.picture))


def by_field(analysis: Analysis) -> Analysis:
    """The analysis with shots and tracks counted in fields; a second field's landmarks lie between the frames'."""
    return replace(
        analysis,
        shots=tuple(Shot(2 * shot.start, 2 * shot.stop) for shot in analysis.shots),
        tracks=tuple(_track_by_field(track) for track in analysis.tracks),
        repeats=(),
    )


def _track_by_field(analyzed: AnalyzedTrack) -> AnalyzedTrack:
    track = analyzed.track
    landmarks = np.repeat(track.landmarks, 2, axis=0)
    landmarks[1:-1:2] = (track.landmarks[:-1] + track.landmarks[1:]) / 2
    doubled = replace(
        track,
        start=2 * track.start,
        landmarks=landmarks,
        observed=np.repeat(track.observed, 2),
        scores=np.repeat(track.scores, 2),
        shown=None if track.shown is None else np.repeat(track.shown, 2),
    )
    return replace(
        analyzed,
        track=doubled,
        levels=np.repeat(analyzed.levels, 2, axis=1),
        starting_steps=np.repeat(analyzed.starting_steps, 2, axis=1),
        strengths=None if analyzed.strengths is None else np.repeat(analyzed.strengths, 2),
    )


def _with_neighbours(
    info: VideoInfo, analysis: Analysis, start: int, stop: int, warnings: list[str]
) -> Iterator[Frame]:
    # The filter looks one frame back and ahead: without those a segment's ends would differ from the whole video's.
    last = min(stop + 1, analysis.frame_count)
    return read_span(info, analysis.frames, max(start - 1, 0), last, on_warning=warnings.append)
