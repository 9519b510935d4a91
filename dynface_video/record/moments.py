"""Which frames of a video a record shows and measures: few enough for a film of any length, by the analysis.

A clip is kept whole, if anybody in it is restored. Of a film the record holds an excerpt of each of the most prominent
people and a still of many more. Of both it measures runs of consecutive frames that are spread over all tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.passes.analysis import Analysis
from dynface_video.record.people import SeenPerson, people_of
from dynface_video.tracking.observation import HIDDEN

Span = tuple[int, int]

WHOLE_SECONDS = 60.0
"""A video up to this long is kept whole as an excerpt."""
EXCERPT_SECONDS = 5.0
EXCERPTS = 12
RUN = 9
"""Consecutive frames over which flicker and motion are measured."""
MEASURED_FACES = 2000
"""Faces that are measured in all, about."""
LEAST_PERIOD = 3 * RUN
"""Least distance of the middles of two runs, frames: measuring every face would take as long as finding them."""
PEOPLE = 60
"""People with a still and at least one run; the others have neither."""
SHOWN_OFTEN, STILLS_EACH = 12, 3
"""How many people get more than one still, and how many."""
SKIPPED = 48
SHOTS = 60
CANDIDATES = 48
"""Frames of a track that are compared when the best one is chosen."""
CLOSE_UP = 0.2
"""A face below this share of the picture's height is too small in the whole picture, and gets a close-up."""
MOSTLY_SHOWN = 0.5


@dataclass(frozen=True)
class Excerpt:
    """A span of frames that is kept as a small video.

    Attributes:
        start: First frame.
        stop: One past the last.
        person: Number of the person that it is about; None for the whole picture.
    """

    start: int
    stop: int
    person: int | None = None


@dataclass(frozen=True)
class Run:
    """Consecutive frames over which a face is measured: the number of its track, first frame, one past the last."""

    track: int
    start: int
    stop: int


@dataclass(frozen=True)
class Still:
    """A frame in which a person is shown before and after."""

    person: int
    track: int
    frame: int


@dataclass(frozen=True)
class Moments:
    """What a record shows and measures.

    Attributes:
        excerpts: In order of their start.
        runs: In order of their start.
        stills: Of people that are restored or could have been.
        skipped: Frame of each pictured skipped face, by its position in `Analysis.skipped_faces`.
        shots: Frame of each pictured shot, by its position.
    """

    excerpts: tuple[Excerpt, ...]
    runs: tuple[Run, ...]
    stills: tuple[Still, ...]
    skipped: dict[int, int]
    shots: dict[int, int]

    def frames(self) -> np.ndarray:
        """All frames that are needed, sorted, (N,) int64."""
        spans = [(one.start, one.stop) for one in self.excerpts] + [(one.start, one.stop) for one in self.runs]
        single = [still.frame for still in self.stills] + [*self.skipped.values(), *self.shots.values()]
        parts = [np.arange(start, stop) for start, stop in spans] + [np.array(single, np.int64)]
        return np.unique(np.concatenate(parts))


def choose_moments(analysis: Analysis, height: int, finished: Sequence[Span] | None = None) -> Moments:
    """Choose what a record shows and measures.

    Args:
        analysis: Of the first pass.
        height: Of the displayed picture, pixels.
        finished: Runs of frames, start and stop, that are restored; None for all.
    """
    ready = np.zeros(analysis.frame_count, bool)
    for start, stop in [(0, analysis.frame_count)] if finished is None else finished:
        ready[start:stop] = True
    # People who can be shown after restoration come first.
    people = sorted(people_of(analysis), key=lambda person: not _is_ready(person, ready))
    return Moments(
        excerpts=tuple(_excerpts(analysis, people, ready, height)),
        runs=tuple(sorted(_runs(people, ready), key=lambda run: (run.start, run.track))),
        stills=tuple(_stills(people, ready)),
        skipped=_skipped(analysis),
        shots=_shots(analysis),
    )


def best_frame(analyzed: AnalyzedTrack, allowed: np.ndarray) -> int | None:
    """The frame in which a face is seen best, see `AnalyzedTrack.visibility`.

    Args:
        analyzed: The face.
        allowed: (N,) bool, frames that may be chosen.

    Returns:
        Its number; None if no frame of the track is allowed.
    """
    track = analyzed.track
    at = np.flatnonzero(allowed[track.start : track.stop] & track.observed)
    if not len(at):
        at = np.flatnonzero(allowed[track.start : track.stop])
    if not len(at):
        return None
    at = at[np.unique(np.linspace(0, len(at) - 1, CANDIDATES).astype(int))]
    return track.start + int(at[int(analyzed.visibility(at).argmax())])


def _is_ready(person: SeenPerson, ready: np.ndarray) -> bool:
    return any(one.restore and ready[one.track.start : one.track.stop].any() for one in person.tracks)


def _excerpts(analysis: Analysis, people: Sequence[SeenPerson], ready: np.ndarray, height: int) -> Iterator[Excerpt]:
    seconds = _seconds(analysis)
    rate = analysis.frame_count / max(seconds, 1e-6)
    length = max(2, min(analysis.frame_count, round(EXCERPT_SECONDS * rate)))
    whole = seconds <= WHOLE_SECONDS and bool(ready.all())
    if whole and analysis.frame_count > 1 and any(one.restore for one in analysis.tracks):
        yield Excerpt(0, analysis.frame_count)
    found = 0
    for person in people:
        if whole and person.size > CLOSE_UP * height:
            continue
        excerpt = _excerpt_of(person, length, ready) if found < EXCERPTS else None
        if excerpt is not None:
            found += 1
            yield excerpt


def _excerpt_of(person: SeenPerson, length: int, ready: np.ndarray) -> Excerpt | None:
    """The frames around the best one of the person's most prominent track that is restored, within that track."""
    tracks = sorted(
        (one for one in person.tracks if one.restore), key=lambda one: -one.track.size * len(one.track.landmarks)
    )
    for analyzed in tracks:
        best = best_frame(analyzed, ready)
        if best is None:
            continue
        first, last = best, best
        track = analyzed.track
        while last - first + 1 < length:
            before = first > track.start and ready[first - 1]
            after = last + 1 < track.stop and ready[last + 1]
            if not (before or after):
                break
            first, last = first - before, min(last + after, first - before + length - 1)
        if last > first:
            return Excerpt(int(first), int(last) + 1, person.number)
    return None


def _runs(people: Sequence[SeenPerson], ready: np.ndarray) -> Iterator[Run]:
    """Runs of the most prominent people, in proportion to how long each is restored, spread evenly over that time."""
    restored = [[one for one in person.tracks if one.restore] for person in people[:PEOPLE]]
    lengths = [sum(len(one.track.landmarks) for one in tracks) for tracks in restored]
    period = max(LEAST_PERIOD, RUN * sum(lengths) / MEASURED_FACES)
    for tracks, length in zip(restored, lengths, strict=True):
        count = max(round(length / period), 1)
        middles = (np.arange(count) + 0.5) * length / count
        ends = np.cumsum([len(one.track.landmarks) for one in tracks])
        for number, analyzed in enumerate(tracks):
            begin = int(ends[number]) - len(analyzed.track.landmarks)
            yield from _runs_of(analyzed, middles[(middles >= begin) & (middles < ends[number])] - begin, ready)


def _runs_of(analyzed: AnalyzedTrack, middles: np.ndarray, ready: np.ndarray) -> Iterator[Run]:
    """The runs of a track around these positions, apart from each other; only where the face is seen and shown."""
    track = analyzed.track
    length = min(RUN, len(track.landmarks))
    free = 0
    for middle in middles if length > 1 else ():
        first = min(max(free, round(middle - length / 2)), len(track.landmarks) - length)
        positions = np.arange(first, first + length)
        shown = np.array([track.shown_at(int(k)) for k in positions])
        visible = track.observed[positions] & (shown >= MOSTLY_SHOWN) & ready[track.start + positions]
        if first >= free and visible.all():
            yield Run(track.number, track.start + first, track.start + first + length)
            free = first + length


def _stills(people: Sequence[SeenPerson], ready: np.ndarray) -> Iterator[Still]:
    for rank, person in enumerate(people[:PEOPLE]):
        count = STILLS_EACH if rank < SHOWN_OFTEN else 1
        frames: set[int] = set()
        for part in np.array_split(np.arange(person.frames), count):
            still = _still_of(person, part, ready) if len(part) else None
            if still is not None and still.frame not in frames:
                frames.add(still.frame)
                yield still


def _still_of(person: SeenPerson, part: np.ndarray, ready: np.ndarray) -> Still | None:
    """The best frame of a part of a person's frames, which are counted over all tracks."""
    before = 0
    for analyzed in sorted(person.tracks, key=lambda one: -one.track.size * one.restore):
        before = sum(len(one.track.landmarks) for one in person.tracks if one.track.start < analyzed.track.start)
        track = analyzed.track
        low = max(track.start, track.start + int(part[0]) - before)
        high = min(track.stop, track.start + int(part[-1]) + 1 - before)
        if low < high:
            allowed = np.zeros_like(ready)
            # A face that is not restored is the same before and after, and may be shown wherever it is.
            allowed[low:high] = ready[low:high] if analyzed.restore else True
            best = best_frame(analyzed, allowed)
            if best is not None:
                return Still(person.number, track.number, best)
    return None


def _skipped(analysis: Analysis) -> dict[int, int]:
    """Skipped faces with a picture: of every kind of reason the most prominent ones in turn."""
    by_reason: dict[str, list[int]] = {}
    for number, face in enumerate(analysis.skipped_faces):
        if face.reason != HIDDEN:
            by_reason.setdefault(face.reason.partition(":")[0], []).append(number)
    for numbers in by_reason.values():
        numbers.sort(
            key=lambda n: (
                -analysis.skipped_faces[n].size * (analysis.skipped_faces[n].stop - analysis.skipped_faces[n].start)
            )
        )
    chosen: list[int] = []
    for rank in range(max(map(len, by_reason.values()), default=0)):
        chosen += [numbers[rank] for numbers in by_reason.values() if rank < len(numbers)]
    faces = analysis.skipped_faces
    return {
        number: min((faces[number].start + faces[number].stop - 1) // 2, analysis.frame_count - 1)
        for number in sorted(chosen[:SKIPPED])
    }


def _shots(analysis: Analysis) -> dict[int, int]:
    shots = analysis.shots
    chosen = np.unique(np.linspace(0, len(shots) - 1, min(SHOTS, len(shots))).astype(int))
    return {int(n): (shots[n].start + shots[n].stop - 1) // 2 for n in chosen}


def _seconds(analysis: Analysis) -> float:
    pts = analysis.frames.pts
    if len(pts) < 2:
        return 0.0
    return float((int(pts[-1]) - int(pts[0])) * analysis.frames.time_base) * len(pts) / (len(pts) - 1)
