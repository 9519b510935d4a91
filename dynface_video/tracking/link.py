"""Linking fragments of one face over short absences, inside shots."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dynface_video.faces.detection.boxes import lies_in
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.tracking.face_motion import FaceMotion
from dynface_video.tracking.focus import Focus
from dynface_video.tracking.matching import ExpectedFace, FoundFace, assign, is_among, matching_costs
from dynface_video.tracking.observation import Observation, face_sides

MEMORY = 8
"""Frames at the end of a fragment from which its movement is read."""
REACH = 0.5
REACH_A_FRAME = 0.06
LARGEST_REACH = 1.2
ABSENCE_WEIGHT = 0.02
LARGEST_NESTED_SHARE = 0.5


@dataclass(frozen=True)
class Fragment:
    """One face in some frames of one shot.

    Attributes:
        frames: (N,) int64, rising.
        points, std: (N, 5, 2) landmarks and (N, 5), pixels.
        scores: (N,) in [0, 1].
        verdicts: (N,) int8: 1 where the detector found the face, -1 where it missed it, 0 where it was not run.
        appearance: the mean of those measured, or None.
        focus: all that were measured.
    """

    frames: np.ndarray
    points: np.ndarray
    std: np.ndarray
    scores: np.ndarray
    verdicts: np.ndarray
    appearance: np.ndarray | None
    focus: tuple[Focus, ...] = ()

    @property
    def start(self) -> int:
        """First frame."""
        return int(self.frames[0])

    @property
    def last(self) -> int:
        """Last frame."""
        return int(self.frames[-1])

    @property
    def side(self) -> float:
        """Median side of the face, pixels."""
        return float(np.median(face_sides(self.points)))

    def select(self, kept: np.ndarray) -> Fragment:
        """The frames that a mask, slice or array of positions selects."""
        arrays = (self.frames[kept], self.points[kept], self.std[kept], self.scores[kept], self.verdicts[kept])
        return Fragment(*arrays, self.appearance, self.focus)


def fragments_of(observations: Sequence[Observation], cuts: Sequence[int], gap: int) -> list[Fragment]:
    """Group observations by track, cut at shot boundaries and at absences of more than `gap` frames."""
    starts = sorted(cuts)
    groups: dict[tuple[int, int], dict[int, Observation]] = defaultdict(dict)
    for seen in observations:
        groups[seen.track, bisect_right(starts, seen.frame)].setdefault(seen.frame, seen)
    fragments = []
    for group in groups.values():
        whole = _fragment([group[frame] for frame in sorted(group)])
        breaks = np.flatnonzero(np.diff(whole.frames) > gap + 1) + 1
        fragments += [whole.select(part) for part in np.split(np.arange(len(whole.frames)), breaks)]
    return sorted(fragments, key=lambda f: (f.start, f.points[0, :, 0].mean()))


def _fragment(seen: Sequence[Observation]) -> Fragment:
    appearances = [o.appearance for o in seen if o.appearance is not None]
    return Fragment(
        frames=np.array([o.frame for o in seen], np.int64),
        points=np.array([o.detection.landmarks for o in seen], np.float64),
        std=np.array([o.detection.landmark_std for o in seen], np.float64),
        scores=np.array([o.detection.score for o in seen], np.float64),
        verdicts=np.array([1 if o.detected else -1 if o.missed else 0 for o in seen], np.int8),
        appearance=np.mean(appearances, axis=0) if appearances else None,
        focus=tuple(o.focus for o in seen if o.focus is not None),
    )


def without_duplicates(fragments: Sequence[Fragment]) -> list[Fragment]:
    """Remove duplicates: where two fragments follow the same face in a frame, the longer one keeps it.

    A fragment that lies mostly inside another's face, or around it, follows a part of a face and is dropped.
    """
    kept: list[Fragment] = []
    for fragment in sorted(fragments, key=lambda f: -float(f.scores.sum())):
        free, apart = np.ones(len(fragment.frames), bool), np.ones(len(fragment.frames), bool)
        for other in kept:
            if fragment.start <= other.last and other.start <= fragment.last:
                free &= ~_coincides(fragment, other, is_same)
                apart &= ~_coincides(fragment, other, is_nested)
        if free.any() and apart.mean() >= LARGEST_NESTED_SHARE:
            kept.append(fragment.select(free))
    return sorted(kept, key=lambda f: (f.start, f.points[0, :, 0].mean()))


def is_same(points: np.ndarray, others: np.ndarray) -> bool:
    """Whether two sets of five points (5, 2) lie on one face."""
    return is_among(points, [others])


def is_nested(points: np.ndarray, others: np.ndarray) -> bool:
    """Whether one of two faces, five points (5, 2) each, lies well inside the other."""
    box, other = box_from_landmarks(points), box_from_landmarks(others)
    return lies_in(box, other) or lies_in(other, box)


def _coincides(fragment: Fragment, other: Fragment, same: Callable[[np.ndarray, np.ndarray], bool]) -> np.ndarray:
    place = dict(zip(other.frames.tolist(), other.points, strict=True))
    pairs = zip(fragment.frames.tolist(), fragment.points, strict=True)
    return np.array([frame in place and same(points, place[frame]) for frame, points in pairs])


def link(fragments: Sequence[Fragment], cuts: Sequence[int], gap: int) -> list[Fragment]:
    """Join fragments of one face that left and came back: inside a shot, over at most `gap` frames.

    All ends and beginnings are matched together by position, size and appearance, each extrapolated to the other.
    """
    starts = sorted(cuts)
    by_shot: dict[int, list[Fragment]] = defaultdict(list)
    for fragment in fragments:
        by_shot[bisect_right(starts, fragment.start)].append(fragment)
    linked = [whole for shot in by_shot.values() for whole in _link_shot(shot, gap)]
    return sorted(linked, key=lambda f: (f.start, f.points[0, :, 0].mean()))


def _link_shot(fragments: list[Fragment], gap: int) -> list[Fragment]:
    followers: dict[int, int] = {}
    # The shortest absences are the most certain: what they join is not offered to longer ones.
    for reach in sorted({min(2, gap), gap}):
        ends = [i for i in range(len(fragments)) if i not in followers]
        heads = [i for i in range(len(fragments)) if i not in followers.values()]
        followers |= _assign(fragments, ends, heads, reach)
    chains = []
    for i in range(len(fragments)):
        if i not in followers.values():
            chain = [i]
            while chain[-1] in followers:
                chain.append(followers[chain[-1]])
            chains.append(_join([fragments[k] for k in chain]))
    return chains


def _assign(fragments: list[Fragment], ends: list[int], heads: list[int], gap: int) -> dict[int, int]:
    costs = np.full((len(ends), len(heads)), np.inf)
    for row, i in enumerate(ends):
        for column, j in enumerate(heads):
            absence = fragments[j].start - fragments[i].last - 1
            if i != j and 0 <= absence <= gap:
                costs[row, column] = _link_cost(fragments[i], fragments[j], absence)
    return {ends[row]: heads[column] for row, column in assign(costs)}


def _link_cost(end: Fragment, head: Fragment, absence: int) -> float:
    """Cost of `head` continuing `end`; infinite where it cannot."""
    reach = min(REACH + REACH_A_FRAME * absence, LARGEST_REACH)
    first, last = head.points[0], end.points[-1]
    onwards = _motion_of(end, slice(-MEMORY, None)).predict(head.start)
    back = _motion_of(head, slice(MEMORY - 1, None, -1)).predict(end.last)
    forwards = matching_costs([ExpectedFace(onwards, end.appearance, reach)], [FoundFace(first, head.appearance)])
    backwards = matching_costs([ExpectedFace(back, head.appearance, reach)], [FoundFace(last, end.appearance)])
    # A fragment of a frame or two has no measurable movement: the better direction decides.
    return min(float(forwards[0, 0]), float(backwards[0, 0])) + ABSENCE_WEIGHT * absence


def _motion_of(fragment: Fragment, part: slice) -> FaceMotion:
    frames, points = fragment.frames[part], fragment.points[part]
    motion = FaceMotion(int(frames[0]), points[0])
    for frame, seen in zip(frames[1:], points[1:], strict=True):
        motion.update(int(frame), seen)
    return motion


def _join(chain: Sequence[Fragment]) -> Fragment:
    appearances = [(len(f.frames), f.appearance) for f in chain if f.appearance is not None]
    counts = [count for count, _ in appearances]
    return Fragment(
        frames=np.concatenate([f.frames for f in chain]),
        points=np.concatenate([f.points for f in chain]),
        std=np.concatenate([f.std for f in chain]),
        scores=np.concatenate([f.scores for f in chain]),
        verdicts=np.concatenate([f.verdicts for f in chain]),
        appearance=np.average([look for _, look in appearances], axis=0, weights=counts) if appearances else None,
        focus=tuple(measured for f in chain for measured in f.focus),
    )
