"""Which tracks of a video show the same person, over cuts and absences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynface_video.tracking.observation import FaceTrack

NEVER = -np.inf
MOST_SHARED = 2
"""Frames by which two tracks of one person may overlap: a track may begin before its predecessor has ended."""


def group_people(tracks: Sequence[FaceTrack], vectors: Sequence[np.ndarray | None], *, same_person: float) -> list[int]:
    """Number the people that tracks show.

    Average linkage: the two most similar groups are joined until no two are alike enough. Tracks that are seen in the
    same frames are never joined, nor are groups that hold such tracks: a person is at one place at a time. A track
    without a vector is joined with those of the same face of its shot.

    Args:
        tracks: Of a video.
        vectors: (D,) of length 1 for each track, the mean over some of its frames; None if it was never measured.
        same_person: Mean cosine similarity from which two groups are joined.

    Returns:
        The number of each track's person, from 1, in the order of their first frames.
    """
    groups = _grouped(tracks, vectors, same_person)
    numbers: dict[int, int] = {}
    for position in sorted(range(len(tracks)), key=lambda i: (tracks[i].start, tracks[i].number)):
        numbers.setdefault(groups[position], len(numbers) + 1)
    return [numbers[group] for group in groups]


def _grouped(tracks: Sequence[FaceTrack], vectors: Sequence[np.ndarray | None], same_person: float) -> list[int]:
    groups = list(range(len(tracks)))
    known = [i for i, vector in enumerate(vectors) if vector is not None]
    if known:
        joined = average_linkage(
            np.stack([np.asarray(vectors[i], np.float64) for i in known]),
            _apart([tracks[i] for i in known]),
            same_person,
        )
        for i, group in zip(known, joined, strict=True):
            groups[i] = known[group]
    for i, vector in enumerate(vectors):
        if vector is None:
            groups[i] = next((groups[k] for k in known if _same_face(tracks[k], tracks[i])), i)
            known.append(i)
    return groups


def _same_face(track: FaceTrack, other: FaceTrack) -> bool:
    return track.identity == other.identity and not _together(track, other)


def _together(track: FaceTrack, other: FaceTrack) -> bool:
    return min(track.stop, other.stop) - max(track.start, other.start) > MOST_SHARED


def _apart(tracks: Sequence[FaceTrack]) -> np.ndarray:
    """(N, N) bool: tracks that are seen together, and so are different people."""
    starts, stops = (np.array([getattr(track, end) for track in tracks]) for end in ("start", "stop"))
    shared = np.minimum(stops[:, None], stops) - np.maximum(starts[:, None], starts)
    return np.asarray((shared > MOST_SHARED) & ~np.eye(len(tracks), dtype=bool))


def average_linkage(vectors: np.ndarray, apart: np.ndarray, threshold: float) -> list[int]:
    """Join the most similar groups until no two have a mean similarity of `threshold` (UPGMA with exclusions).

    Args:
        vectors: (N, D) of length 1.
        apart: (N, N) bool, which never come into one group.
        threshold: Cosine similarity.

    Returns:
        For each vector the position of the first of its group.
    """
    similar = np.where(apart, NEVER, vectors @ vectors.T)
    np.fill_diagonal(similar, NEVER)
    sizes, group = np.ones(len(vectors)), np.arange(len(vectors))
    best = similar.max(axis=1)
    while len(vectors) > 1:
        a = int(best.argmax())
        if best[a] < threshold:
            break
        a, b = sorted((a, int(similar[a].argmax())))
        # Lance and Williams: the mean similarity to the union is the weighted mean of those to its parts.
        row = (sizes[a] * similar[a] + sizes[b] * similar[b]) / (sizes[a] + sizes[b])
        row[[a, b]] = NEVER
        stale = np.flatnonzero((similar[:, a] == best) | (similar[:, b] == best))
        similar[a], similar[:, a] = row, row
        similar[b], similar[:, b] = NEVER, NEVER
        sizes[a] += sizes[b]
        group[group == b] = a
        best = np.maximum(best, row)
        best[[*stale, a, b]] = similar[[*stale, a, b]].max(axis=1)
    return [int(position) for position in group]
