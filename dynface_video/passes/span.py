"""The second pass over a span of frames of a video, whatever its scan type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from dynface_video.media.io.read import Frame, read_span
from dynface_video.passes.interlaced import deinterlaced_span, restored_fields
from dynface_video.passes.prefetch import Prefetch, frames_ahead, timed
from dynface_video.passes.restore import PassContext, Work, restored_frames, span_with_halo, spans_with_halo


def restored_span(
    context: PassContext, start: int, stop: int, *, keep_fields: bool, work: Work, warnings: list[str]
) -> Iterator[Frame]:
    """Decode and restore the frames start .. stop - 1.

    Args:
        context: The video, its whole analysis, and what restores it.
        start: The first frame.
        stop: One past the last.
        keep_fields: Restore interlaced video field by field and keep it interlaced, instead of deinterlacing it.
        work: Gets what was done.
        warnings: Gets what could not be decoded.

    Yields:
        A frame without a face to restore is as decoded.
    """
    # A film has thousands of tracks, and what follows searches them for every frame.
    analysis = replace(context.analysis, tracks=tuple(context.analysis.faces_in(start, stop)))
    context, info = replace(context, analysis=analysis), context.info
    if info.interlaced and keep_fields:
        yield from restored_fields(context, start, stop, work=work, warnings=warnings)
        return
    if info.interlaced:
        context = replace(context, analysis=replace(analysis, repeats=()))
        first, last = span_with_halo(context.analysis, context.pipeline, start, stop)
        frames = deinterlaced_span(info, analysis, first, last, warnings)
    else:
        spans = spans_with_halo(analysis, context.pipeline, start, stop)
        frames = chain.from_iterable(
            read_span(info, analysis.frames, *span, on_warning=warnings.append) for span in spans
        )
    with Prefetch(timed(frames, work.seconds, "decode"), frames_ahead(info.width, info.height)) as decoded:
        yield from restored_frames(decoded, context, start, stop, work=work)
