"""What the page says, computed from a record: plain values for the template."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.record.archive import Record
from dynface_video.record.measure import RunMeasures
from dynface_video.record.people import SeenPerson, people_of, restored_spans
from dynface_video.report.plots import Scale, bars, line, nice_top, part_of, ticks
from dynface_video.tracking.observation import HIDDEN

DETAILED_PEOPLE = 60
LISTED_PEOPLE = 400
LISTED_SKIPPED = 200
HEADROOM = 1.04
MOST_MARKS = 150
"""Shots that are marked on one axis."""
STEPS = 1000
"""Starting steps of the schedule: 0 draws nothing, this many begins with noise alone."""


def clock(seconds: float) -> str:
    """A time as h:mm:ss, or m:ss.t below an hour."""
    if seconds >= 3600:
        whole = round(seconds)
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def duration(seconds: float) -> str:
    """A length of time in words of two units at most."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"


def data_size(count: int) -> str:
    """A number of bytes with a decimal unit."""
    value, unit = float(count), 0
    while value >= 1000 and unit < 4:
        value, unit = value / 1000, unit + 1
    return f"{value:.{0 if unit == 0 else 1}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[unit]}"


@dataclass(frozen=True, eq=False)
class Timeline:
    """Times of frames."""

    times: np.ndarray

    @classmethod
    def of(cls, record: Record) -> Timeline:
        """Of a record's video, from 0."""
        index = record.plan.frames
        if not len(index.pts):
            return cls(np.zeros(1))
        seconds = (index.pts - index.pts[0]) * float(index.time_base)
        step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
        return cls(np.append(seconds, seconds[-1] + step))

    def at(self, frame: int) -> float:
        """Seconds from the first frame; of the end for the number of frames."""
        return float(self.times[min(frame, len(self.times) - 1)])

    def clock(self, frame: int) -> str:
        """As text."""
        return clock(self.at(frame))

    def span(self, start: int, stop: int) -> str:
        """From the first frame to the end of the last, as text."""
        return f"{self.clock(start)} to {self.clock(stop)}"


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


@dataclass(frozen=True)
class Fact:
    """A name and a value; `note` explains it."""

    name: str
    value: str
    note: str = ""


def contents(record: Record) -> dict[str, Any]:
    """Everything that the template shows.

    Args:
        record: Of a restoration.
    """
    timeline = Timeline.of(record)
    people = people_of(record.plan)
    settings = _settings(record.facts["settings"])
    by_track: dict[int, list[RunMeasures]] = {}
    for measures in record.measures:
        by_track.setdefault(measures.track, []).append(measures)
    shots = ticks([shot.start for shot in record.plan.shots[1:]], _scale(record))
    return {
        "title": (record.result or {}).get("output", {}).get("name") or record.facts["source"]["name"],
        "finished": record.result is not None,
        "headline": _facts(record, timeline, people),
        "warnings": (record.result or {}).get("warnings", []),
        "excerpts": _excerpts(record, timeline),
        "people": [
            _person(person, record, timeline, [m for t in person.tracks for m in by_track.get(t.track.number, [])])
            for person in people[:DETAILED_PEOPLE]
        ],
        "more_people": [_row(person, timeline) for person in people[DETAILED_PEOPLE : DETAILED_PEOPLE + LISTED_PEOPLE]],
        "unlisted_people": max(0, len(people) - DETAILED_PEOPLE - LISTED_PEOPLE),
        "shot_ticks": shots,
        "marked": _marks(record, _scale(record)),
        "shot_count": len(record.plan.shots),
        "shots": [
            {
                "picture": picture(record, one["picture"]),
                "time": timeline.clock(record.plan.shots[one["shot"]].start),
                "number": one["shot"] + 1,
            }
            for one in record.shots
        ],
        "end": timeline.clock(record.plan.frame_count),
        "skipped": _skipped(record, timeline),
        "steps": _stages(record),
        "settings": settings,
        "changed": sum(row["changed"] for row in settings),
        "program": record.facts,
        "models": record.facts["models"],
        "source": _file_facts(record.facts["source"]),
        "output": _output_facts(record),
        "measured": sum(one.stop - one.start for one in record.measures),
    }


def picture(record: Record, name: str | None) -> str | None:
    """A picture of the record as a data URL."""
    if name is None:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(record.media[name]).decode()}"


def _scale(record: Record) -> Scale:
    return Scale(record.plan.frame_count, 1.0)


def _marks(record: Record, axis: Scale) -> bool:
    """Whether shots can be marked on an axis: more of them would fill it."""
    starts = [shot.start for shot in record.plan.shots]
    return sum(axis.first < start < axis.frames for start in starts) <= MOST_MARKS


def _facts(record: Record, timeline: Timeline, people: Sequence[SeenPerson]) -> list[Fact]:
    source, analysis = record.facts["source"], record.plan
    restored = [one for one in people if one.restored]
    total = record.result["faces"] if record.result else None
    measures = _means(record.measures)
    facts = [
        Fact("Length", timeline.clock(analysis.frame_count), f"{analysis.frame_count:,} frames"),
        Fact("Picture", f"{source['width']} × {source['height']}", f"{_rate(source['frame_rate'])}{source['codec']}"),
        Fact("People restored", f"{len(restored)}", f"of {len(people)} found"),
        Fact("Faces skipped", f"{sum(analysis.skip_reasons.values())}", "seen and not restored, or not chosen"),
    ]
    if total is not None:
        facts.append(Fact("Crops restored", f"{total:,}", "one per face and frame"))
    if measures:
        facts.append(Fact("Invented detail", f"{100 * measures['invented']:.0f} %", "mean of the measured faces"))
    common = _common_strength(record)
    return [*facts, _strength_fact([one for person in restored for one in person.tracks], common)]


def _rate(rate: str | None) -> str:
    if rate is None:
        return ""
    numerator, _, denominator = rate.partition("/")
    return f"{float(numerator) / float(denominator or 1):.5g} frames/s, "


def _excerpts(record: Record, timeline: Timeline) -> list[dict[str, Any]]:
    found = []
    for one in record.excerpts:
        who = "Whole picture" if one["person"] is None else f"Person {one['person']}"
        found.append(
            {
                "name": f"{who}, {timeline.span(one['start'], one['stop'])}",
                "person": one["person"],
                "begin": round(timeline.at(one["start"]), 3),
                "seconds": one["seconds"],
                "frames": one["stop"] - one["start"],
                "width": one["width"],
                "height": one["height"],
                "data": base64.b64encode(record.media[one["video"]]).decode(),
            }
        )
    return found


def _person(person: SeenPerson, record: Record, timeline: Timeline, measures: Sequence[RunMeasures]) -> dict[str, Any]:
    stills = [
        {
            "time": timeline.clock(one["frame"]),
            "before": picture(record, one["before"]),
            "after": picture(record, one["after"]),
        }
        for one in record.stills
        if one["person"] == person.number
    ]
    means = _means(measures)
    axis = Scale(max(one.track.stop for one in person.tracks), 1.0, person.tracks[0].track.start)
    return {
        **_row(person, timeline),
        "stills": stills,
        "facts": _person_facts(person, means, _common_strength(record)),
        "measured": bool(means),
        "plots": _plots(person, record, measures, axis),
        "begin": timeline.clock(axis.first),
        "end": timeline.clock(axis.frames),
        "first_second": f"{timeline.at(axis.first):.3f}",
        "seconds": f"{timeline.at(axis.frames) - timeline.at(axis.first):.3f}",
        "marks": part_of(_scale(record), axis) if _marks(record, axis) else None,
        "seen": bars([(one.track.start, one.track.stop) for one in person.tracks], _scale(record)),
        "done": bars([span for one in person.tracks for span in restored_spans(one)], _scale(record)),
        "excerpt": next((n for n, one in enumerate(record.excerpts) if one["person"] == person.number), None),
    }


def _row(person: SeenPerson, timeline: Timeline) -> dict[str, Any]:
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
        facts.append(_strength_fact(person.tracks, strength))
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


def _strength_fact(tracks: Sequence[AnalyzedTrack], common: float) -> Fact:
    """The strengths with which faces of these tracks are restored: one, or the lowest and the highest."""
    used = [values for one in tracks for _, values in _where_restored(one, _strengths(one, common))]
    strengths = np.unique(np.concatenate(used)) if used else np.array([common])
    shown = f"{strengths[0]:g}" if len(strengths) == 1 else f"{strengths[0]:g} to {strengths[-1]:g}"
    return Fact("Strength", shown, "0 closest to the source, 1 draws most")


def _change(name: str, pair: tuple[float, float], unit: str) -> Fact:
    return Fact(name, f"{pair[0]:.2f} → {pair[1]:.2f}", f"{unit}, source → output")


def _means(measures: Sequence[RunMeasures]) -> dict[str, Any]:
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


def _common_strength(record: Record) -> float:
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
    common = _common_strength(record)
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


def _skipped(record: Record, timeline: Timeline) -> dict[str, Any]:
    faces = [(n, face) for n, face in enumerate(record.plan.skipped_faces) if face.reason != HIDDEN]
    pictures = {one["face"]: one["picture"] for one in record.skipped}
    reasons = Counter(face.reason.partition(":")[0] for _, face in faces)
    unselected = sum(not track.restore for track in record.plan.tracks)
    if unselected:
        reasons["not selected for restoration"] = unselected
    shown = sorted(faces, key=lambda item: (item[0] not in pictures, item[1].start))[:LISTED_SKIPPED]
    return {
        "reasons": reasons.most_common(),
        "faces": [
            {
                "picture": picture(record, pictures.get(number)),
                "time": timeline.span(face.start, face.stop),
                "size": f"{face.size:.0f} px",
                "reason": face.reason,
            }
            for number, face in sorted(shown, key=lambda item: item[1].start)
        ],
        "unlisted": len(faces) - len(shown),
    }


def _stages(record: Record) -> list[dict[str, Any]]:
    seconds = (record.result or {}).get("seconds", {})
    most = max(seconds.values(), default=0.0)
    names = {"analyze": "Analysis", "restore": "Restoration", "assemble": "Joining"}
    return [
        {
            "name": names.get(name, name),
            "time": duration(spent),
            "share": round(100 * spent / most, 1) if most > 0 else 0,
        }
        for name, spent in seconds.items()
    ]


def _settings(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Every setting, with whether it differs from the default."""
    from dynface_video.config import Settings

    usual = Settings().model_dump(mode="json")
    rows = []
    for section, values in settings.items():
        pairs = values.items() if isinstance(values, dict) else [(None, values)]
        for name, value in pairs:
            default = usual.get(section) if name is None else (usual.get(section) or {}).get(name)
            shown = "automatic" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            rows.append(
                {"name": section if name is None else f"{section}.{name}", "value": shown, "changed": value != default}
            )
    return rows


def _file_facts(source: dict[str, Any]) -> list[Fact]:
    facts = [Fact("File", source["name"])]
    if source["bytes"] is not None:
        facts.append(Fact("Size", data_size(source["bytes"])))
    facts += [
        Fact("Format", f"{source['container']}, {source['codec']}, {source['pixel_format']}"),
        Fact("Digest", source["sampled_sha256"], "SHA-256 of the size and of samples spread over the file"),
    ]
    others = [f"{one['kind']} ({one['codec']}{_language(one['language'])})" for one in source["streams"]]
    return [*facts, Fact("Other streams", ", ".join(others) or "none")]


def _language(language: str | None) -> str:
    return f", {language}" if language and language != "und" else ""


def _output_facts(record: Record) -> list[Fact]:
    if record.result is None:
        frames = f"{record.facts['restored_frames']:,} of {record.plan.frame_count:,}"
        return [Fact("State", "not finished"), Fact("Frames restored", frames)]
    output, encoding = record.result["output"], record.facts["encoding"]
    facts = [Fact("File", output["name"])]
    if output["bytes"] is not None:
        facts.append(Fact("Size", data_size(output["bytes"])))
    crf = "" if encoding.get("crf") is None else f", quality {encoding['crf']}"
    facts.append(Fact("Encoding", f"{encoding['codec']}, {encoding['pixel_format']}{crf}"))
    if output["sha256"] is not None:
        facts.append(Fact("SHA-256", output["sha256"], "of the whole file"))
    return [*facts, Fact("Finished", record.result["finished"].replace("T", " ").replace("+00:00", " UTC"))]
