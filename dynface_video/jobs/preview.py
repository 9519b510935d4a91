"""A short part of a video restored into a playable file, at one strength or at several beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.config import Settings
from dynface_video.config.choice import Rule
from dynface_video.config.times import TimeSpan, format_time, parse_time
from dynface_video.errors import InputError
from dynface_video.jobs.video_job import chosen_analysis
from dynface_video.media.io.excerpt import read_excerpt
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import read_span
from dynface_video.media.output.clip import SoundOf, write_clip
from dynface_video.media.output.comparison import check_mode, compared, narrowed
from dynface_video.media.pixels.display import to_display
from dynface_video.media.pixels.frame import Frame
from dynface_video.media.pixels.interlace import first_fields
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve, with_strengths
from dynface_video.passes.interlaced import deinterlaced_span
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models, analyze_with
from dynface_video.passes.people import time_of
from dynface_video.passes.restore import PassContext, Work, restored_frames
from dynface_video.passes.span import restored_span

LONGEST = 120
"""Seconds of a preview."""

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class PreviewResult:
    """The result of a preview.

    Attributes:
        output: Path of the clip.
        frames: Its pictures.
        faces: Face crops restored, of all strengths.
        people: Numbers of the people who are restored.
        start: Its first frame's time in the video, seconds.
    """

    output: Path
    frames: int
    faces: int
    people: tuple[int, ...]
    start: Fraction

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON data."""
        return {
            "output": str(self.output),
            "frames": self.frames,
            "faces": self.faces,
            "people": list(self.people),
            "start": float(self.start),
        }


@dataclass(frozen=True)
class PreviewRequest:
    """What a preview is to show.

    Attributes:
        span: Of the video, both ends set.
        strengths: Restored versions beside each other; empty for one at the settings' strength.
        compare: "side", "split" or "flip" shows the source as well; None shows the restored pictures alone.
        analysis: What `analyze -o` wrote; None analyses the span alone.
        width: Most pixels across each picture; None for those of the video.
    """

    span: TimeSpan
    strengths: tuple[float, ...] = ()
    compare: str | None = None
    analysis: Path | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        """Check the mode; raises InputError."""
        if self.compare is not None:
            check_mode(self.compare)


def parse_preview(text: str) -> TimeSpan:
    """The span of `LENGTH@START`, such as `5s@00:30`; LENGTH alone begins at 0.

    Raises:
        InputError: It cannot be read, is empty, or longer than `LONGEST` seconds.
    """
    length, _, start = text.partition("@")
    try:
        seconds, begin = parse_time(length), parse_time(start) if "@" in text else Fraction(0)
    except ValueError as error:
        raise InputError(f"{text!r} is not a preview: write LENGTH@START, such as 5s@00:30 ({error})") from error
    if not 0 < seconds <= LONGEST:
        raise InputError(f"a preview of {float(seconds):g} s: it may have up to {LONGEST} s")
    return TimeSpan(begin, begin + seconds)


def make_preview(
    info: VideoInfo,
    target: Path,
    settings: Settings,
    request: PreviewRequest,
    progress: Progress,
    networks: ModelCache | None = None,
) -> PreviewResult:
    """Restore a span of a video into a clip.

    Args:
        info: The video.
        target: The clip, see `write_clip`.
        settings: All of them.
        request: What to show.
        progress: Called with (stage, frames done, frames in all or None).
        networks: As of `RunOptions`.

    Raises:
        InputError: The span lies outside the video, or a person is named without an analysis of the whole video.
        ModelError: Weights are missing.
    """
    settings = settings.model_copy(update={"output": settings.output.model_copy(update={"copy_untouched": False})})
    if request.analysis is None:
        _check_numbers(settings)
    models, work = (networks or ModelCache()).get(settings), Work()
    part = _whole(info, settings, request) if request.analysis else _excerpt(info, settings, request, models, progress)
    versions = request.strengths or (settings.restoration.strength,)
    made = [part.restored(_at_strength(models, strength), settings, work) for strength in versions]
    labels = [f"strength {strength:g}" for strength in versions] if request.strengths else ["restored"]
    compare = request.compare or ("side" if request.strengths else None)
    if compare is not None:
        made, labels = [part.source(), *made], ["source", *labels]

    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for number, frames in enumerate(zip(*made, strict=True)):
            time = frames[0].time
            shown = [narrowed(to_display(frame.rgb(), info.display), request.width) for frame in frames]
            since = (frames[0].pts - part.first_pts) * info.time_base
            yield time, shown[0] if compare is None else compared(shown, labels, compare, since)
            progress("restore", number + 1, part.length)

    progress("restore", 0, part.length)
    start = request.span.start or Fraction(0)
    sound = SoundOf(info.path, start, start + part.length / (info.frame_rate or Fraction(25)))
    count = write_clip(target, pictures(), info.frame_rate or Fraction(25), sound)
    people = tuple(sorted({track.person for track in part.analysis.faces_in(part.start, part.stop)}))
    return PreviewResult(target, count, work.faces, people, start)


@dataclass(frozen=True, eq=False)
class _Part:
    """The span of a video, analysed and resolved: its frames start .. stop - 1 in the analysis's count."""

    info: VideoInfo
    analysis: Analysis
    start: int
    stop: int
    excerpt: TimeSpan | None

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def first_pts(self) -> int:
        return int(self.analysis.frames.pts[self.start])

    def source(self) -> Iterator[Frame]:
        if self.excerpt is not None:
            return _progressive_excerpt(self.info, self.excerpt)
        if self.info.interlaced:
            return deinterlaced_span(self.info, self.analysis, self.start, self.stop, [])
        return read_span(self.info, self.analysis.frames, self.start, self.stop)

    def restored(self, models: Models, settings: Settings, work: Work) -> Iterator[Frame]:
        chosen = settings.restoration
        plan = with_strengths(self.analysis, models.pipeline)
        context = PassContext(self.info, plan, models.pipeline, chosen.seed, chosen.grain, models.parser)
        if self.excerpt is None:
            return restored_span(context, self.start, self.stop, keep_fields=False, work=work, warnings=[])
        frames = _progressive_excerpt(self.info, self.excerpt)
        return restored_frames(frames, context, self.start, self.stop, work=work)


def _check_numbers(settings: Settings) -> None:
    selection = settings.selection
    named = selection.numbers is not None or any(
        rule.people for rule in (*selection.exclusions, *selection.strength_rules)
    )
    if named:
        raise InputError(
            "people are numbered over the whole video: write its analysis with dynface-video analyze INPUT -o FILE and "
            "give it to the preview (--analysis FILE)"
        )


def _at_strength(models: Models, strength: float) -> Models:
    if models.pipeline.settings.strength == strength:
        return models
    return replace(models, pipeline=models.pipeline.with_settings(strength=strength))


def _whole(info: VideoInfo, settings: Settings, request: PreviewRequest) -> _Part:
    """The span as a part of the whole video's analysis."""
    assert request.analysis is not None
    analysis = resolve(chosen_analysis(request.analysis, settings))
    inside = [n for n in range(analysis.frame_count) if request.span.holds(time_of(analysis.frames, n))]
    if not inside:
        raise InputError(f"{info.path} has no frame between {request.span}; it ends at {_end(analysis)}")
    return _Part(info, analysis, inside[0], inside[-1] + 1, None)


def _end(analysis: Analysis) -> str:
    return format_time(time_of(analysis.frames, analysis.frame_count))


def _excerpt(info: VideoInfo, settings: Settings, request: PreviewRequest, models: Models, progress: Progress) -> _Part:
    """The span analysed by itself."""
    start, stop = request.span.start, request.span.stop
    assert start is not None and stop is not None
    frames = read_excerpt(info, start, stop)
    found = analyze_with(models, info, settings, lambda done: progress("analyze", done, None), decoded=frames)
    # Its times count from the excerpt's beginning, the user's from the video's.
    found = replace(
        found,
        between=tuple(_shifted(span, start) for span in found.between),
        rules=tuple(_shifted_rule(rule, start) for rule in found.rules),
    )
    return _Part(info, resolve(found), 0, found.frame_count, request.span)


def _shifted(span: TimeSpan, start: Fraction) -> TimeSpan:
    return TimeSpan(*(None if time is None else time - start for time in (span.start, span.stop)))


def _shifted_rule(rule: Rule, start: Fraction) -> Rule:
    return rule if rule.span is None else replace(rule, span=_shifted(rule.span, start))


def _progressive_excerpt(info: VideoInfo, span: TimeSpan) -> Iterator[Frame]:
    assert span.start is not None and span.stop is not None
    frames = read_excerpt(info, span.start, span.stop)
    return first_fields(frames, marked_only=False) if info.interlaced else frames
