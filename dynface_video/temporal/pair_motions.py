"""Motions between the faces of a track, each pair measured once for both directions and kept while it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from dynface_video.resampling import on_cpu
from dynface_video.temporal.motion import (
    Motion,
    MotionInput,
    join_motion_inputs,
    motion_both_ways,
    prepare_motion,
)

PAIRS_AT_ONCE = 16
"""On a CPU, whose caches hold no more."""
PAIRS_AT_ONCE_ON_A_DEVICE = 256
"""Every batch launches the same kernels, and a GPU waits for launches longer than it works (docs/gpu-and-ray.md)."""


class Ordered(Protocol):
    """A key that can be put in order."""

    def __lt__(self, other: Any) -> bool: ...
    def __hash__(self) -> int: ...


Key = TypeVar("Key", bound=Ordered)
Item = TypeVar("Item")


class PairMotions(Generic[Key]):
    """Motions between pictures of one kind.

    Args:
        pictures: Gives the pictures of keys, (B, 3, R, R).
        validity: Gives their masks, (B, 1, R, R), or None where all of them lie inside the picture. Pairs with and
            without masks are measured apart: which others share a batch must not change a bit.
    """

    def __init__(
        self, pictures: Callable[[Sequence[Key]], Tensor], validity: Callable[[Sequence[Key]], Tensor | None]
    ) -> None:
        self._pictures, self._validity = pictures, validity
        self._inputs: dict[Key, MotionInput] = {}
        self._motions: dict[Key, dict[Key, Motion]] = {}

    def between(self, key: Key, others: Sequence[Key]) -> list[Motion]:
        """The motions from one picture to others, which `find` has been asked for."""
        return [self._motions[key][other] for other in others]

    def find(self, pairs: Iterable[tuple[Key, Key]]) -> None:
        """Measure the motions of pairs, there and back, that are not known yet."""
        known = self._motions
        missing = dict.fromkeys(
            (one, other) if one < other else (other, one) for one, other in pairs if other not in known.get(one, {})
        )
        self._prepare(dict.fromkeys(key for pair in missing for key in pair))
        if not missing:
            return
        host = on_cpu(self._inputs[next(iter(missing))[0]].crop)
        for part in self._batches(list(missing), PAIRS_AT_ONCE if host else PAIRS_AT_ONCE_ON_A_DEVICE):
            inputs = join_motion_inputs([self._inputs[pair[side]] for side in (0, 1) for pair in part])
            there, back = motion_both_ways(inputs[: len(part)], inputs[len(part) :])
            for row, (one, other) in enumerate(part):
                known.setdefault(one, {})[other] = there[row]
                known.setdefault(other, {})[one] = back[row]

    def discard(self, key: Key, *, picture: bool) -> None:
        """Drop the motions from a picture to others; picture: also what motions to it would be measured on."""
        self._motions.pop(key, None)
        if picture:
            self._inputs.pop(key, None)

    def _prepare(self, keys: Iterable[Key]) -> None:
        for part in self._batches([(key,) for key in keys if key not in self._inputs], PAIRS_AT_ONCE):
            own = [key for (key,) in part]
            inputs = prepare_motion(self._pictures(own), self._validity(own))
            self._inputs.update((key, inputs[row : row + 1]) for row, key in enumerate(own))

    def _batches(self, groups: Sequence[tuple[Key, ...]], size: int) -> Iterable[Sequence[tuple[Key, ...]]]:
        for alike in split(groups, lambda keys: self._validity(keys) is None):
            for first in range(0, len(alike), size):
                yield alike[first : first + size]


def split(items: Iterable[Item], condition: Callable[[Item], bool]) -> tuple[list[Item], list[Item]]:
    """The items that fulfil a condition, and the others."""
    groups: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        groups[0 if condition(item) else 1].append(item)
    return groups
