"""What the page says, computed from a record: plain values for the template."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dynface_video.errors import INCOMPLETE
from dynface_video.record.archive import Record
from dynface_video.record.measure import RunMeasures
from dynface_video.record.people import SeenPerson, people_of
from dynface_video.report.person import (
    common_strength,
    describe_person,
    mean_measures,
    person_row,
    picture,
    shows_shots,
    strength_fact,
    whole_axis,
)
from dynface_video.report.plots import ticks
from dynface_video.report.quantities import Fact, Timeline, data_size, duration
from dynface_video.tracking.observation import HIDDEN

DETAILED_PEOPLE = 60
LISTED_PEOPLE = 400
LISTED_SKIPPED = 200


def _warnings(result: dict[str, Any]) -> list[str]:
    missing = result.get("missing")
    return [*([INCOMPLETE.format(missing)] if missing else []), *result.get("warnings", [])]


def contents(record: Record) -> dict[str, Any]:
    """Everything that the template shows.

    Args:
        record: Of a restoration.
    """
    timeline = Timeline.of(record)
    people = people_of(record.plan)
    settings = _settings(record.facts["settings"])
    shots = ticks([shot.start for shot in record.plan.shots[1:]], whole_axis(record))
    return {
        "title": (record.result or {}).get("output", {}).get("name") or record.facts["source"]["name"],
        "finished": record.result is not None,
        "headline": _facts(record, timeline, people),
        "warnings": _warnings(record.result or {}),
        "excerpts": _excerpts(record, timeline),
        "people": [
            describe_person(person, record, timeline, _measures_of(person, record))
            for person in people[:DETAILED_PEOPLE]
        ],
        "more_people": [person_row(person, timeline) for person in people[DETAILED_PEOPLE:][:LISTED_PEOPLE]],
        "unlisted_people": max(0, len(people) - DETAILED_PEOPLE - LISTED_PEOPLE),
        "shot_ticks": shots,
        "marked": shows_shots(record, whole_axis(record)),
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


def _measures_of(person: SeenPerson, record: Record) -> list[RunMeasures]:
    own = [one.track.number for one in person.tracks]
    return [measures for number in own for measures in record.measures if measures.track == number]


def _facts(record: Record, timeline: Timeline, people: Sequence[SeenPerson]) -> list[Fact]:
    source, analysis = record.facts["source"], record.plan
    restored = [one for one in people if one.restored]
    result = record.result or {}
    measures = mean_measures(record.measures)
    facts = [
        Fact("Length", timeline.clock(analysis.frame_count), f"{analysis.frame_count:,} frames"),
        Fact("Picture", f"{source['width']} × {source['height']}", f"{_rate(source['frame_rate'])}{source['codec']}"),
        Fact("People restored", f"{len(restored)}", f"of {len(people)} found"),
        Fact("Faces skipped", f"{sum(analysis.skip_reasons.values())}", "seen and not restored, or not chosen"),
    ]
    if result:
        facts.append(Fact("Crops restored", f"{result['faces']:,}", "one per face and frame"))
    if "drawn_faces" in result:
        facts.append(Fact("Crops with drawn detail", f"{result['drawn_faces']:,}", "detail that the source lacks"))
    if measures:
        facts.append(Fact("Invented detail", f"{100 * measures['invented']:.0f} %", "mean of the measured faces"))
    common = common_strength(record)
    return [*facts, strength_fact([one for person in restored for one in person.tracks], common)]


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
