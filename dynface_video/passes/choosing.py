"""Who of an analysis is restored, when and how strongly.

`choose` writes the settings' choice into an analysis, where it can be read and edited; `resolve` turns what an analysis
says of people and times into what the second pass needs of every frame of every track; `with_strengths` gives tracks
the starting steps of their strengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import scipy

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.config import SelectionSettings
from dynface_video.config.times import format_time
from dynface_video.errors import SelectionError
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.sequence import SEQUENCE
from dynface_video.media.timing.index import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.people import Person
from dynface_video.pipeline import FacePipeline
from dynface_video.temporal.level_smoothing import hold_steps
from dynface_video.tracking.observation import FADE_FRAMES

RELIABLE = ("mov", "matroska", SEQUENCE)
"""Formats that state the length of the video; of others it is estimated."""


def choose(analysis: Analysis, selection: SelectionSettings, reference: tuple[int, ...] | None = None) -> Analysis:
    """Write a choice into an analysis; what the analysis says already is kept where the choice says nothing.

    Args:
        analysis: Of a video.
        selection: The settings.
        reference: Numbers of the people in the reference picture; None without a reference picture.

    Raises:
        SelectionError: A person is chosen who is not in the video.
    """
    known = [person.number for person in analysis.people]
    _check_known(known, selection)
    people = analysis.people
    if selection.numbers is not None:
        people = tuple(replace(one, restore=one.number in selection.numbers) for one in people)
    if reference is not None:
        people = tuple(replace(one, restore=one.restore and one.number in reference) for one in people)
    for rule in (*selection.exclusions, *selection.strength_rules):
        if rule.span is None:
            people = tuple(_ruled(one, rule.restore, rule.strength, rule.people) for one in people)
    spanned = tuple(rule for rule in (*selection.exclusions, *selection.strength_rules) if rule.span is not None)
    tracks = keep_largest(analysis.tracks, analysis.shots) if selection.faces == "largest" else analysis.tracks
    return replace(
        analysis,
        people=people,
        tracks=tuple(tracks),
        between=selection.spans or analysis.between,
        rules=(*analysis.rules, *spanned),
    )


def _ruled(person: Person, restore: bool, strength: float | None, people: tuple[int, ...]) -> Person:
    if people and person.number not in people:
        return person
    return replace(
        person, restore=person.restore and restore, strength=person.strength if strength is None else strength
    )


def _check_known(known: Sequence[int], selection: SelectionSettings) -> None:
    named = {number for rule in (*selection.exclusions, *selection.strength_rules) for number in rule.people}
    unknown = sorted((named | set(selection.numbers or ())) - set(known))
    if unknown:
        present = f"it has people 1 to {max(known)}" if known else "no face was found in it"
        raise SelectionError(
            f"person {unknown[0]} is not in the video, {present}; dynface-video faces INPUT -o sheet.png shows them"
        )


def check_declared_times(info: VideoInfo, selection: SelectionSettings) -> None:
    """Raise SelectionError where a selected span begins after the end of the video, if its file states that reliably.

    This needs no first pass; `check_times` checks against the frames afterwards.
    """
    if info.duration is None or not info.format_name.startswith(RELIABLE):
        return
    for span in selection.all_spans:
        if span.start is not None and span.start >= info.duration:
            raise SelectionError(f"no frame lies between {span}; the video ends at {format_time(info.duration)}")


def check_times(analysis: Analysis, selection: SelectionSettings) -> None:
    """Raise SelectionError where a selected span holds no frame of the whole video: a mistyped time."""
    times = _times(analysis.frames, 0, analysis.frame_count)
    for span in selection.all_spans:
        if not any(span.holds(time) for time in times):
            end = format_time(times[-1]) if times else "its beginning"
            raise SelectionError(f"no frame lies between {span}; the last frame of the video is at {end}")


def resolve(analysis: Analysis) -> Analysis:
    """The analysis with what it says of people and times in its tracks, and nothing of it elsewhere.

    A face that is restored for a part of its track fades in and out inside that part: outside of it nothing changes.

    Returns:
        An analysis whose tracks have `restore`, `shown` and `strengths` of every frame.
    """
    people = {person.number: person for person in analysis.people}
    tracks = tuple(_resolved(track, people.get(track.person), analysis) for track in analysis.tracks)
    plain = tuple(Person(person.number, person.vector) for person in analysis.people)
    return replace(analysis, tracks=tracks, people=plain, between=(), rules=())


def _resolved(analyzed: AnalyzedTrack, person: Person | None, analysis: Analysis) -> AnalyzedTrack:
    track = analyzed.track
    rules = [rule for rule in analysis.rules if not rule.people or analyzed.person in rule.people]
    restore = analyzed.restore and (person is None or person.restore)
    strength = None if person is None else person.strength
    if not rules and not analysis.between:
        strengths = None if strength is None else np.full(track.stop - track.start, strength)
        return replace(analyzed, restore=restore, strengths=strengths)
    times = _times(analysis.frames, track.start, track.stop)
    chosen = np.array([not analysis.between or any(span.holds(time) for span in analysis.between) for time in times])
    strengths = np.full(len(times), np.nan if strength is None else strength)
    for rule in rules:
        inside = np.array([rule.span is None or rule.span.holds(time) for time in times])
        chosen &= ~inside | rule.restore
        if rule.strength is not None:
            strengths[inside] = rule.strength
    if not restore or not chosen.any():
        return replace(analyzed, restore=False)
    return replace(
        analyzed,
        restore=True,
        track=replace(track, shown=_faded(track.shown, chosen)),
        strengths=None if np.isnan(strengths).all() else strengths,
    )


def _faded(shown: np.ndarray | None, chosen: np.ndarray) -> np.ndarray | None:
    if chosen.all():
        return shown
    ramp = np.clip(scipy.ndimage.distance_transform_edt(chosen) / FADE_FRAMES, 0, 1).astype(np.float32)
    return ramp if shown is None else (shown * ramp).astype(np.float32)


def _times(frames: FrameIndex, start: int, stop: int) -> list[Fraction]:
    ticks = (frames.pts[start:stop] - frames.pts[0]).tolist()
    return [tick * frames.time_base for tick in ticks]


def with_strengths(analysis: Analysis, pipeline: FacePipeline) -> Analysis:
    """Give every track the starting steps of its strengths, where they are not those that it was analysed with.

    Args:
        analysis: From `resolve`.
        pipeline: Its stages' tables give the steps; its settings the strength where a track has none.
    """
    common = pipeline.settings.strength
    tracks = tuple(_with_steps(track, pipeline, common, analysis.strength) for track in analysis.tracks)
    return replace(analysis, tracks=tracks, strength=common)


def _with_steps(analyzed: AnalyzedTrack, pipeline: FacePipeline, common: float, analysed: float) -> AnalyzedTrack:
    length = analyzed.track.stop - analyzed.track.start
    wanted = np.full(length, common) if analyzed.strengths is None else analyzed.strengths
    wanted = np.where(np.isnan(wanted), common, wanted)
    steps = analyzed.starting_steps.copy()
    for strength in sorted({float(value) for value in wanted} - {analysed}):
        steps[:, wanted == strength] = steps_at(analyzed, pipeline, strength)[:, wanted == strength]
    return replace(analyzed, starting_steps=steps, strengths=wanted)


def steps_at(analyzed: AnalyzedTrack, pipeline: FacePipeline, strength: float) -> np.ndarray:
    """The starting steps of a track at one strength, (S, T) int64."""
    band = pipeline.settings.step_hysteresis
    return np.stack(
        [
            hold_steps(stage.table_steps(levels, strength), band=band, least=stage.config.least_starting_step)
            for stage, levels in zip(pipeline.stages[: analyzed.stage_count], analyzed.levels, strict=True)
        ]
    )


def keep_largest(tracks: Sequence[AnalyzedTrack], shots: Sequence[Shot]) -> list[AnalyzedTrack]:
    """Mark all tracks but the most prominent one of each shot (size times duration) as not to be restored.

    The choice is made per shot, because a choice per frame could alternate between two faces.
    """

    def covered(analyzed: AnalyzedTrack) -> float:
        return float(analyzed.track.size * (analyzed.track.stop - analyzed.track.start))

    largest = set()
    for shot in shots:
        inside = [t for t in tracks if shot.start <= t.track.start < shot.stop]
        if inside:
            largest.add(max(inside, key=covered).track.number)
    return [t if t.track.number in largest else replace(t, restore=False) for t in tracks]
