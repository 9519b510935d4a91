"""The people of an analysis in the order of their prominence, each with the tracks that show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.passes.analysis import Analysis


@dataclass(frozen=True)
class SeenPerson:
    """Somebody whose face is seen.

    Attributes:
        number: From 1.
        tracks: In the order of time.
    """

    number: int
    tracks: tuple[AnalyzedTrack, ...]

    @property
    def frames(self) -> int:
        """Frames of the tracks in all."""
        return sum(analyzed.track.stop - analyzed.track.start for analyzed in self.tracks)

    @property
    def restored(self) -> bool:
        """Whether any of the tracks is restored."""
        return any(analyzed.restore for analyzed in self.tracks)

    @property
    def size(self) -> float:
        """Median side of the face over all frames, pixels."""
        return float(np.median(np.concatenate([analyzed.track.sizes for analyzed in self.tracks])))

    @property
    def prominence(self) -> float:
        """Size times duration, by which people are ranked."""
        return sum(analyzed.track.size * (analyzed.track.stop - analyzed.track.start) for analyzed in self.tracks)


def restored_spans(analyzed: AnalyzedTrack) -> list[tuple[int, int]]:
    """The frames of a resolved track in which the restored face is shown, as runs (start, stop)."""
    track = analyzed.track
    if not analyzed.restore:
        return []
    if track.shown is None:
        return [(track.start, track.stop)]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (track.shown > 0).astype(np.int8), [0]])))
    return [(track.start + int(a), track.start + int(b)) for a, b in edges.reshape(-1, 2)]


def people_of(analysis: Analysis) -> list[SeenPerson]:
    """The people of an analysis, most prominent first.

    Args:
        analysis: Of the first pass.
    """
    groups: dict[int, list[AnalyzedTrack]] = {}
    for analyzed in analysis.tracks:
        groups.setdefault(analyzed.person, []).append(analyzed)
    people = [
        SeenPerson(number, tuple(sorted(tracks, key=lambda one: one.track.start))) for number, tracks in groups.items()
    ]
    return sorted(people, key=lambda person: (not person.restored, -person.prominence, person.number))
