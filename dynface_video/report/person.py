"""What the page says of one person: pictures, facts and plots over time."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.record.archive import Record
from dynface_video.record.measure import RunMeasures
from dynface_video.record.people import SeenPerson, restored_spans
from dynface_video.report.plots import Scale, bars, line, nice_top, part_of
from dynface_video.report.quantities import Fact, Timeline

HEADROOM = 1.04
MOST_MARKS = 150
"""Shots that are marked on one axis."""
STEPS = 1000
"""Starting steps of the schedule: 0 draws nothing, this many begins with noise alone."""


@dataclass(frozen=True)
class Plot:
    """A plot of one quantity.

    Attributes:
        name: Of the quantity.
        key: For style sheets.
        top: Label of the top edge.
        paths: Class and path of each line.
        summary: What the plot shows, in words.
    """

    name: str
    key: str
    top: str
    paths: tuple[tuple[str, str], ...]
    summary: str


def describe_person(
    person: SeenPerson, record: Record, timeline: Timeline, measures: Sequence[RunMeasures]
) -> dict[str, Any]:
    """A person with pictures, facts and plots.

    Args:
        person: Of the record.
        record: Of a restoration.
        timeline: Of its video.
        measures: Of the person's tracks.
    """
    stills = [
        {
            "time": timeline.clock(one["frame"]),
            "before": picture(record, one["before"]),
            "after": picture(record, one["after"]),
        }
        for one in record.stills
        if one["person"] == person.number
    ]
    means = mean_measures(measures)
    axis = Scale(max(one.track.stop for one in person.tracks), 1.0, person.tracks[0].track.start)
    return {
        **person_row(person, timeline),
        "stills": stills,
        "facts": _person_facts(person, means, common_strength(record)),
        "measured": bool(means),
        "plots": _plots(person, record, measures, axis),
        "begin": timeline.clock(axis.first),
        "end": timeline.clock(axis.frames),
        "first_second": f"{timeline.at(axis.first):.3f}",
        "seconds": f"{timeline.at(axis.frames) - timeline.at(axis.first):.3f}",
        "marks": part_of(whole_axis(record), axis) if shows_shots(record, axis) else None,
        "seen": bars([(one.track.start, one.track.stop) for one in person.tracks], whole_axis(record)),
        "done": bars([span for one in person.tracks for span in restored_spans(one)], whole_axis(record)),
        "excerpt": next((n for n, one in enumerate(record.excerpts) if one["person"] == person.number), None),
    }


def person_row(person: SeenPerson, timeline: Timeline) -> dict[str, Any]:
    """A person in a line."""
    spans = [timeline.span(one.track.start, one.track.stop) for one in person.tracks[:4]]
    more = len(person.tracks) - len(spans)
    levels, steps = _mean_level(person), _mean_step(person)
    return {
        "number": person.number,
        "restored": person.restored,
        "times": "; ".join(spans) + (f" and {more} more" if more > 0 else ""),
        "frames": f"{person.frames:,}",
        "size": f"{person.size:.0f} px",
        "blur": f"{100 * levels:.2f} %",
        "step": f"{steps:.0f}",
    }


def _person_facts(person: SeenPerson, means: dict[str, Any], strength: float) -> list[Fact]:
    resolution = max(one.stage_count for one in person.tracks)
    grey = sum(one.grey for one in person.tracks)
    facts = [
        Fact("Size", f"{person.size:.0f} px", f"median side; {resolution} {'stage' if resolution == 1 else 'stages'}"),
        Fact("Blur level", f"{100 * _mean_level(person):.2f} %", "of the crop's side, mean"),
        Fact("Starting step", f"{_mean_step(person):.0f}", f"of {STEPS}, mean"),
    ]
    if person.restored:
        done = sum(stop - start for one in person.tracks for start, stop in restored_spans(one))
        facts.append(Fact("Frames restored", f"{done:,}", f"of {person.frames:,}"))
        facts.append(strength_fact(person.tracks, strength))
    if grey:
        facts.append(Fact("Colour", "none", "the source shows this face without colour"))
    if means:
        facts += [
            Fact("Invented detail", f"{100 * means['invented']:.0f} %", "not in the same frame of the source"),
            _change("Flicker", means["flicker"], "of 255"),
            _change("Landmark motion", means["landmark_motion"], "% of the eye distance"),
        ]
        if means["identity"] is not None:
            facts.append(Fact("Identity distance", f"{1 - means['identity']:.3f}", "source to output; 0 is equal"))
    return facts


def strength_fact(tracks: Sequence[AnalyzedTrack], common: float) -> Fact:
    """The strengths with which faces of these tracks are restored: one, or the lowest and the highest."""
    used = [values for one in tracks for _, values in _where_restored(one, _strengths(one, common))]
    strengths = np.unique(np.concatenate(used)) if used else np.array([common])
    shown = f"{strengths[0]:g}" if len(strengths) == 1 else f"{strengths[0]:g} to {strengths[-1]:g}"
    return Fact("Strength", shown, "0 closest to the source, 1 draws most")


def _change(name: str, pair: tuple[float, float], unit: str) -> Fact:
    return Fact(name, f"{pair[0]:.2f} → {pair[1]:.2f}", f"{unit}, source → output")


def mean_measures(measures: Sequence[RunMeasures]) -> dict[str, Any]:
    """Means over runs, weighted by their length; empty without any."""
    if not measures:
        return {}
    weights = [one.stop - one.start for one in measures]

    def mean(values: Iterable[float]) -> float:
        known = np.array(list(values), np.float64)
        usable = ~np.isnan(known)
        return float(np.average(known[usable], weights=np.array(weights)[usable])) if usable.any() else 0.0

    identities = [np.nan if one.identity is None else one.identity for one in measures]
    return {
        "invented": mean(one.invented for one in measures),
        "flicker": (mean(one.flicker[0] for one in measures), mean(one.flicker[1] for one in measures)),
        "landmark_motion": (
            mean(one.landmark_motion[0] for one in measures),
            mean(one.landmark_motion[1] for one in measures),
        ),
        "identity": None if np.isnan(identities).all() else mean(identities),
    }


def _mean_level(person: SeenPerson) -> float:
    return float(np.concatenate([one.finest_levels for one in person.tracks]).mean())


def _mean_step(person: SeenPerson) -> float:
    return float(np.concatenate([one.starting_steps.max(axis=0) for one in person.tracks]).mean())


def common_strength(record: Record) -> float:
    """The strength of the settings, in [0, 1]."""
    return float(record.facts["settings"]["restoration"]["strength"])


def _strengths(one: AnalyzedTrack, common: float) -> np.ndarray:
    """Strength of every frame of a resolved track, (T,)."""
    if one.strengths is None:
        return np.full(len(one.track.landmarks), common)
    return np.where(np.isnan(one.strengths), common, one.strengths)


def _where_restored(one: AnalyzedTrack, values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frame numbers and values, (T,) of a track, of each run in which its face is restored."""
    first = one.track.start
    return [(np.arange(start, stop), values[start - first : stop - first]) for start, stop in restored_spans(one)]


def _plots(person: SeenPerson, record: Record, measures: Sequence[RunMeasures], axis: Scale) -> list[Plot]:
    frames = [np.arange(one.track.start, one.track.stop) for one in person.tracks]
    levels = [100 * one.finest_levels for one in person.tracks]
    steps = [
        piece
        for one in person.tracks
        for piece in _where_restored(one, one.starting_steps.max(axis=0).astype(np.float64))
    ]
    plots = [_plot("Blur level", "blur", "%", axis, [("after", list(zip(frames, levels, strict=True)))])]
    if steps:
        plots.append(_plot("Starting step", "step", "", axis, [("after", steps)]))
    common = common_strength(record)
    strengths = [piece for one in person.tracks for piece in _where_restored(one, _strengths(one, common))]
    if strengths and len(np.unique(np.concatenate([values for _, values in strengths]))) > 1:
        plots.append(_plot("Strength", "strength", "", axis, [("after", strengths)]))
    if not measures:
        return plots
    tracks = {one.track: [m for m in measures if m.track == one.track] for one in measures}

    def over(values: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (np.array([(m.start + m.stop) / 2 for m in own]), np.array([values(m) for m in own], np.float64))
            for own in tracks.values()
        ]

    return [
        *plots,
        _plot("Invented detail", "invented", "%", axis, [("after", over(lambda m: 100 * m.invented))]),
        _plot(
            "Flicker",
            "flicker",
            "",
            axis,
            [("before", over(lambda m: m.flicker[0])), ("after", over(lambda m: m.flicker[1]))],
        ),
        _plot(
            "Landmark motion",
            "motion",
            "%",
            axis,
            [("before", over(lambda m: m.landmark_motion[0])), ("after", over(lambda m: m.landmark_motion[1]))],
        ),
    ]


def _plot(
    name: str,
    key: str,
    unit: str,
    axis: Scale,
    lines: Sequence[tuple[str, list[tuple[np.ndarray, np.ndarray]]]],
) -> Plot:
    cleaned = [
        (kind, [(frames[~np.isnan(values)], values[~np.isnan(values)]) for frames, values in pieces])
        for kind, pieces in lines
    ]
    said, highest = [], 0.0
    for kind, pieces in cleaned:
        values = np.concatenate([values for _, values in pieces]) if pieces else np.zeros(0)
        if len(values):
            highest = max(highest, float(values.max()))
            label = f"{kind}: " if len(lines) > 1 else ""
            said.append(f"{label}{values.min():.3g} to {values.max():.3g}, mean {values.mean():.3g}")
    top = nice_top(HEADROOM * highest)
    space = f" {unit}" if unit else ""
    return Plot(
        name,
        key,
        f"{top:g}{space}",
        tuple((kind, line(pieces, replace(axis, top=top))) for kind, pieces in cleaned),
        f"{name} over time{f' in {unit}' if unit else ''}. {'; '.join(said)}.",
    )


def picture(record: Record, name: str | None) -> str | None:
    """A picture of the record as a data URL."""
    if name is None:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(record.media[name]).decode()}"


def whole_axis(record: Record) -> Scale:
    """The axis of all frames."""
    return Scale(record.plan.frame_count, 1.0)


def shows_shots(record: Record, axis: Scale) -> bool:
    """Whether shots can be marked on an axis: more of them would fill it."""
    starts = [shot.start for shot in record.plan.shots]
    return sum(axis.first < start < axis.frames for start in starts) <= MOST_MARKS
