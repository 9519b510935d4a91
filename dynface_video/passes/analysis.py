"""The result of the first pass: shots, people, tracks, and for each face and frame a level and a starting step.

It is kilobytes of numbers in one JSON file that can be read, plotted and edited (docs/analysis.md): set `restore` of a
person or of a track to false to skip it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.config.choice import Rule
from dynface_video.config.times import TimeSpan, parse_span
from dynface_video.errors import RESTART, JobError
from dynface_video.media.io.files import write_atomically
from dynface_video.media.io.read import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.people import Person, PersonSummary, summarize_people
from dynface_video.tracking.observation import HIDDEN, NOT_SELECTED, FaceTrack, SkippedFace

FORMAT = 4
ABOUT = "made by dynface-video analyze; docs/analysis.md describes it and what may be edited"


@dataclass(frozen=True)
class Analysis:
    """The result of the first pass.

    Attributes:
        frames: Times and seek points of all frames.
        shots: They cover the frames one after the other.
        tracks: The faces that can be restored.
        skipped_faces: The others, with reasons.
        warnings: For the user.
        people: The people in the tracks, and whether each is restored.
        between: When faces are restored; empty for the whole video.
        rules: Exceptions for some people and times; a later one takes precedence.
        strength: For which the starting steps were read from their tables, in [0, 1].
        repeats: Runs of frames, start and stop, that all show the first one's picture.
    """

    frames: FrameIndex
    shots: tuple[Shot, ...]
    tracks: tuple[AnalyzedTrack, ...]
    skipped_faces: tuple[SkippedFace, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    people: tuple[Person, ...] = ()
    between: tuple[TimeSpan, ...] = ()
    rules: tuple[Rule, ...] = ()
    strength: float = 0.6
    repeats: tuple[tuple[int, int], ...] = ()

    @property
    def frame_count(self) -> int:
        """Frames of the video."""
        return len(self.frames.pts)

    @property
    def skipped_face_count(self) -> int:
        """Number of faces over time that are visible and not restored; hidden ones do not count."""
        return sum(face.reason != HIDDEN for face in self.skipped_faces)

    @property
    def skip_reasons(self) -> Counter[str]:
        """How many visible faces are not restored, by the kind of reason."""
        reasons = Counter(face.reason.partition(":")[0] for face in self.skipped_faces if face.reason != HIDDEN)
        reasons[NOT_SELECTED] += sum(not track.restore for track in self.tracks)
        return +reasons

    def summarize_people(self) -> list[PersonSummary]:
        """Who is seen when, how large and how blurred, by number."""
        return summarize_people(self.tracks, self.frames)

    def face_frame(self, analyzed: AnalyzedTrack, frame: int) -> int:
        """The frame whose restored face a track has at a frame: an earlier one where the picture is a repeat.

        It is in the track, and the face is to be shown, at the same strength, in all frames from there on.
        """
        run = bisect_right(self.repeats, (frame, self.frame_count)) - 1
        if run < 0 or frame >= self.repeats[run][1]:
            return frame
        first, track = max(self.repeats[run][0], analyzed.track.start), analyzed.track
        here = slice(first - track.start, frame - track.start + 1)
        other = np.zeros(frame - first + 1, bool)
        if track.shown is not None:
            hidden = track.shown[here] == 0
            other |= hidden != hidden[-1]
        if analyzed.strengths is not None:
            strengths = np.nan_to_num(analyzed.strengths[here], nan=-1.0)
            other |= strengths != strengths[-1]
        return first + (int(np.flatnonzero(other)[-1]) + 1 if other.any() else 0)

    def faces_in(self, start: int, stop: int) -> list[AnalyzedTrack]:
        """Tracks to restore that meet the frames start .. stop - 1."""
        return [t for t in self.tracks if t.restore and t.track.is_shown(start, stop)]

    def untouched(self) -> list[tuple[int, int]]:
        """The longest runs of frames, start and stop, that hold no face to restore and whose packets can be copied."""
        runs: list[tuple[int, int]] = []
        for start, stop in self.frames.closed:
            if self.faces_in(start, stop):
                continue
            joined = bool(runs) and runs[-1][1] == start
            runs[-1:] = [(runs[-1][0], stop)] if joined else [*runs[-1:], (start, stop)]
        return runs

    def save(self, path: Path) -> None:
        """Write as JSON, a line for every person and track, under its final name only when complete."""
        known = {person.number: person for person in self.people}
        people = [
            _person_to_json(known.get(found.number, Person(found.number)), found) for found in self.summarize_people()
        ]
        document = {
            "format": FORMAT,
            "about": ABOUT,
            "strength": self.strength,
            "people": people,
            "between": [str(span) for span in self.between],
            "spans": [_rule_to_json(rule) for rule in self.rules],
            "frames": self.frames.to_json(),
            "shots": [[shot.start, shot.stop] for shot in self.shots],
            "tracks": [_track_to_json(track) for track in self.tracks],
            "skipped_faces": [face.to_json() for face in self.skipped_faces],
            "warnings": list(self.warnings),
            "repeats": [list(run) for run in self.repeats],
        }
        write_atomically(path, _in_lines(document))

    @classmethod
    def load(cls, path: Path) -> Analysis:
        """Read what `save` wrote, perhaps edited; raises JobError for anything that does not fit together."""
        try:
            raw = json.loads(path.read_text())
            if raw["format"] != FORMAT:
                raise ValueError(f"format {raw['format']}, this version reads {FORMAT}: analyse the video again")
            frames, shots = FrameIndex.from_json(raw["frames"]), tuple(Shot(*span) for span in raw["shots"])
            _check_shots(shots, len(frames.pts))
            people = tuple(_person_from_json(person) for person in raw["people"])
            return cls(
                frames=frames,
                shots=shots,
                tracks=tuple(_track_from_json(track) for track in raw["tracks"]),
                skipped_faces=tuple(SkippedFace.from_json(face) for face in raw["skipped_faces"]),
                warnings=tuple(raw["warnings"]),
                people=people,
                between=tuple(parse_span(span) for span in raw["between"]),
                rules=tuple(_rule_from_json(rule) for rule in raw["spans"]),
                strength=_strength(raw["strength"], "strength"),
                repeats=_repeats_from_json(raw.get("repeats", []), len(frames.pts)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JobError(f"{path}: not an analysis: {error}; correct it, or {RESTART}") from error


def unrestored_warning(skip_reasons: Counter[str]) -> str:
    """The warning for a source in which no face is restored.

    Args:
        skip_reasons: See `Analysis.skip_reasons`; may be summed over several analyses.
    """
    if not skip_reasons:
        return "no face was found"
    reasons = ", ".join(f"{count} {reason}" for reason, count in skip_reasons.most_common())
    return f"no face was restored: {skip_reasons.total()} skipped ({reasons})"


def _check_shots(shots: tuple[Shot, ...], frame_count: int) -> None:
    bounds = [0, *(shot.stop for shot in shots)]
    if [shot.start for shot in shots] != bounds[:-1] or bounds[-1] != frame_count:
        raise ValueError(f"the shots do not cover the frames 0 to {frame_count - 1} one after the other")


def _in_lines(document: dict[str, Any]) -> str:
    """JSON with a line for every entry, and for every item of the lists of objects."""
    lines = []
    for name, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = ",\n".join(f"  {_compact(item)}" for item in value)
            lines.append(f"{json.dumps(name)}: [\n{items}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _person_to_json(person: Person, found: PersonSummary) -> dict[str, Any]:
    summary = found.as_dict()
    identity = None if person.vector is None else [round(float(value), 4) for value in person.vector]
    chosen = {"number": person.number, "restore": person.restore, "strength": person.strength}
    return chosen | {name: summary[name] for name in summary if name not in chosen} | {"identity": identity}


def _person_from_json(raw: dict[str, Any]) -> Person:
    number = raw["number"]
    if not isinstance(raw["restore"], bool):
        raise ValueError(f"person {number}: restore is {raw['restore']!r}, it must be true or false")
    vector = raw.get("identity")
    strength = None if raw["strength"] is None else _strength(raw["strength"], f"person {number}: strength")
    return Person(int(number), None if vector is None else np.array(vector, np.float32), raw["restore"], strength)


def _strength(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}, it must be a number from 0 to 1")
    return float(value)


def _rule_to_json(rule: Rule) -> dict[str, Any]:
    return {
        "people": list(rule.people),
        "time": "" if rule.span is None else str(rule.span),
        "restore": rule.restore,
        "strength": rule.strength,
    }


def _rule_from_json(raw: dict[str, Any]) -> Rule:
    unknown = raw.keys() - {"people", "time", "restore", "strength"}
    if unknown:
        raise ValueError(f"a span has the entry {sorted(unknown)[0]!r}; it may have people, time, restore and strength")
    restore, strength = raw.get("restore", True), raw.get("strength")
    if not isinstance(restore, bool):
        raise ValueError(f"a span's restore is {restore!r}, it must be true or false")
    return Rule(
        tuple(int(number) for number in raw.get("people", [])),
        parse_span(raw["time"]) if raw.get("time") else None,
        restore,
        None if strength is None else _strength(strength, "a span's strength"),
    )


def _repeats_from_json(raw: list[list[int]], frame_count: int) -> tuple[tuple[int, int], ...]:
    runs = tuple((int(start), int(stop)) for start, stop in raw)
    bounds = [0, *(bound for run in runs for bound in run), frame_count]
    if any(a > b for a, b in pairwise(bounds)) or any(start + 2 > stop for start, stop in runs):
        raise ValueError("the repeats are not runs of at least two frames, one after the other")
    return runs


def _track_to_json(analyzed: AnalyzedTrack) -> dict[str, Any]:
    return {
        "person": analyzed.person,
        "restore": analyzed.restore,
        "grey": analyzed.grey,
        "noise": analyzed.noise,
        "levels": [[round(float(level), 7) for level in row] for row in analyzed.levels],
        "starting_steps": analyzed.starting_steps.tolist(),
        "track": analyzed.track.to_json(),
    }


def _track_from_json(raw: dict[str, Any]) -> AnalyzedTrack:
    track = FaceTrack.from_json(raw["track"])
    levels, steps = np.array(raw["levels"], np.float64), np.array(raw["starting_steps"], np.int64)
    for name in ("grey", "restore"):
        if not isinstance(raw[name], bool):
            raise ValueError(f"track {track.number}: {name} is {raw[name]!r}, it must be true or false")
    return AnalyzedTrack(track, levels, steps, raw["grey"], raw["restore"], int(raw["noise"]), int(raw["person"]))
