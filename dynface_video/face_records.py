"""Faces of tracks over time: their crops, what the stages have made of them, and which are near each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.faces.colour_transfer import ColourMatch
from dynface_video.lanes import Task
from dynface_video.temporal.damage import FoundDamage

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, order=True)
class FaceKey:
    """A face in one frame: the number of its track, and the frame counted from the track's start."""

    track: int
    at: int


@dataclass(eq=False)
class StageState:
    """A stage's results for one face, None until computed; tensors (3, R, R) in [0, 1].

    Attributes:
        estimate: RM's.
        sample: The sampler's.
        colour: The change that gives the sample its source's colour.
        face: The averaged sample.
        tasks: What computes each of them, by its name.
    """

    estimate: Tensor | None = None
    sample: Tensor | None = None
    colour: ColourMatch | None = None
    face: Tensor | None = None
    tasks: dict[str, Task] = field(default_factory=dict)


@dataclass(eq=False)
class FaceRecord:
    """One face in one frame.

    Attributes:
        crops: The source at each stage's resolution, (3, R, R) in [0, 1].
        stages: The results of each stage.
        validity: (1, R, R) in [0, 1] at the first stage's resolution, 0 where the crop reaches beyond the picture; None
            for a crop inside it.
        to_crop: See `VideoPipeline.add`.
        found: The damage that the last of the crops shows by itself, with a leading axis of 1; None until it is looked
            for.
        cleaned: The crops without it; `crops` until it is looked for.
        damage: The damage of the last of them, (1, R, R) in [0, 1]; None until it is removed.
        whole: The crops without damage; None until it is removed.
    """

    crops: tuple[Tensor, ...]
    stages: tuple[StageState, ...]
    validity: Tensor | None = None
    to_crop: np.ndarray = field(default_factory=lambda: np.eye(2, 3))
    found: FoundDamage | None = None
    cleaned: tuple[Tensor, ...] = ()
    damage: Tensor | None = None
    whole: tuple[Tensor, ...] | None = None


class FaceRecords(dict[FaceKey, FaceRecord]):
    """The faces that are known, by their keys.

    Args:
        tracks: Of the faces, by number.
        resolution: R of the first stage.
        device: Of the crops.
    """

    def __init__(self, tracks: Mapping[int, AnalyzedTrack], resolution: int, device: torch.device) -> None:
        super().__init__()
        self.tracks, self.resolution, self.device = tracks, resolution, device

    def around(self, key: FaceKey, distances: Sequence[int]) -> list[FaceKey]:
        """The face itself and its observed neighbours at given distances, in the order of their frames.

        Frames that repeat an earlier one have no record, and in a bridged gap the crop may show something else. The
        nearest usable frame below that distance, and above the next smaller one, is then taken instead.

        Args:
            key: The face.
            distances: Of the neighbours on each side, in frames, ascending.
        """
        return [*reversed(self._beside(key, distances, -1)), key, *self._beside(key, distances, 1)]

    def _beside(self, key: FaceKey, distances: Sequence[int], side: int) -> list[FaceKey]:
        observed = self.tracks[key.track].track.observed
        found: list[FaceKey] = []
        for nearer, far in pairwise([0, *distances]):
            places = (FaceKey(key.track, key.at + side * distance) for distance in range(far, nearer, -1))
            found += islice((other for other in places if other in self and observed[other.at]), 1)
        return found

    def others(self, keys: Sequence[FaceKey], distances: Sequence[int]) -> list[list[FaceKey]]:
        """As `around`, of each face, without itself."""
        return [[other for other in self.around(key, distances) if other != key] for key in keys]

    def last_stage(self, key: FaceKey) -> int:
        """Number of the last stage of a face."""
        return self.tracks[key.track].stage_count - 1

    def by_stages(self, keys: Sequence[FaceKey]) -> list[list[FaceKey]]:
        """Faces that go through the same stages, together."""
        groups: dict[int, list[FaceKey]] = {}
        for key in keys:
            groups.setdefault(self.last_stage(key), []).append(key)
        return list(groups.values())

    def validity(self, keys: Sequence[FaceKey]) -> Tensor | None:
        """The masks of crops, (B, 1, R, R), or None where all lie inside the picture."""
        masks = [self[key].validity for key in keys]
        if all(mask is None for mask in masks):
            return None
        size = self.resolution
        full = torch.ones(1, size, size, device=self.device)
        return torch.stack([full if mask is None else mask for mask in masks])

    def stack(self, number: int, name: str, keys: Sequence[FaceKey]) -> Tensor:
        """As `pictures`, (B, 3, R, R)."""
        return torch.stack(self.pictures(number, name, keys))

    def pictures(self, number: int, name: str, keys: Sequence[FaceKey]) -> list[Tensor]:
        """Pictures of faces at a stage, (3, R, R) each: their crops, also "cleaned" or "whole", or a result."""
        records = [self[key] for key in keys]
        if name == "crop":
            return [record.crops[number] for record in records]
        if name == "cleaned":
            return [(record.cleaned or record.crops)[number] for record in records]
        if name == "whole":
            return [(record.whole or record.crops)[number] for record in records]
        return [present(getattr(record.stages[number], name)) for record in records]


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size` and a rest."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def present(made: Made | None) -> Made:
    """What was made; raises RuntimeError if it was not."""
    if made is None:
        raise RuntimeError("a face was requested before the faces that it depends on were restored")
    return made


def unique(groups: Iterable[Iterable[FaceKey]]) -> list[FaceKey]:
    """The faces of all groups, each once, in their order."""
    return list(dict.fromkeys(key for group in groups for key in group))
