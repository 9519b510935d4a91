"""Source crops over time: without film damage, the motions between them, and the windows that RM reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dynface_video.face_records import FaceKey, FaceRecords, batches, present, unique
from dynface_video.pipeline import FacePipeline
from dynface_video.resampling import on_cpu
from dynface_video.temporal.damage import (
    FoundDamage,
    NearFrames,
    carried_change,
    find_damage,
    join_found,
    lean_of,
    remove_damage,
)
from dynface_video.temporal.flow_averaging import Pairs, warp_neighbours
from dynface_video.temporal.motion import Motion, absent_motions, stack_motions
from dynface_video.temporal.pair_motions import PairMotions

PIXELS_AT_ONCE = 1 << 22
"""Limit of neighbours' pixels in a batch, for memory: a crowd has a thousand faces within reach."""
PIXELS_AT_ONCE_ON_A_DEVICE = 1 << 25
"""The same on a GPU, where larger batches launch fewer kernels: 18 faces of 512 pixels with six neighbours."""


def faces_at_once(picture: Tensor, size: int, *, neighbours: int) -> int:
    """How many faces of `size` pixels, with so many neighbours each, are a batch on the device of a picture."""
    most = PIXELS_AT_ONCE if on_cpu(picture) else PIXELS_AT_ONCE_ON_A_DEVICE
    return max(1, most // ((neighbours + 1) * size**2))


class FaceCrops:
    """The crops of faces at each stage, and how they move. One thread at a time may use it.

    Args:
        records: The faces.
        pipeline: Its stages have the resolutions of the crops.
    """

    def __init__(self, records: FaceRecords, pipeline: FacePipeline) -> None:
        self._records, self._pipeline, self._stages = records, pipeline, pipeline.stages
        self.motions = self._no_motions()

    def close(self) -> None:
        """Drop the motions: they refer to the crops that refer to them, and what they hold would stay in memory until
        Python looks for such circles."""
        self.motions = self._no_motions()

    def _no_motions(self) -> PairMotions[FaceKey]:
        return PairMotions(self.cleaned, self._records.validity)

    def without_damage(self, number: int, keys: Sequence[FaceKey]) -> Tensor:
        """The crops of a stage without film damage, (B, 3, R, R)."""
        if self._pipeline.settings.remove_damage:
            missing = [key for key in keys if self._records[key].whole is None]
            for group in self._records.by_stages(missing):
                size = self._stages[self._records.last_stage(group[0])].resolution
                near = self._stages[0].window_radius
                for part in batches(group, faces_at_once(self._records[group[0]].crops[0], size, neighbours=2 * near)):
                    self._remove_damage(part)
        return self._records.stack(number, "whole", keys)

    def cleaned(self, keys: Sequence[FaceKey], number: int = 0) -> Tensor:
        """The crops of a stage without the damage that they show by themselves, (B, 3, R, R)."""
        if self._pipeline.settings.remove_damage:
            self._find_damage(keys)
        return self._records.stack(number, "cleaned", keys)

    def windows(self, number: int, keys: Sequence[FaceKey], own: Tensor) -> list[Tensor]:
        """The neighbouring crops of each face, warped onto its own crop (B, 3, R, R): (K, 3, R, R) each."""
        near = self._records.others(keys, self._stages[number].window_distances)
        others = sorted(unique(near))
        if not others:
            return [own.new_zeros(0, *own.shape[1:]) for _ in keys]
        pairs = self.pairs(keys, near, others)
        masks = [[self._records[key].validity for key in some] for some in (keys, others)]
        windows = warp_neighbours(own, self.cleaned(others, number), pairs, *masks)
        rows = [[row for row, target in enumerate(pairs.targets) if target == face] for face in range(len(keys))]
        return [windows[own_rows] for own_rows in rows]

    def pairs(self, keys: Sequence[FaceKey], near: Sequence[Sequence[FaceKey]], others: Sequence[FaceKey]) -> Pairs:
        """The pairs of faces with their neighbours, at least one, in the order of those, as rows of `others`."""
        rows = {other: row for row, other in enumerate(others)}
        found = sorted((other, row) for row, own in enumerate(near) for other in own)
        self.motions.find((keys[row], other) for other, row in found)
        motions = [self.motions.between(keys[row], [other])[0] for other, row in found]
        return Pairs([row for _, row in found], [rows[other] for other, _ in found], stack_motions(motions))

    def _remove_damage(self, keys: Sequence[FaceKey]) -> None:
        """Remove the damage of faces that go through the same stages, on their last crops; the others follow."""
        number, near = self._records.last_stage(keys[0]), self._records.others(keys, self._stages[0].window_distances)
        self._find_damage(unique([keys, *near]))
        size, most = self._stages[number].resolution, max(map(len, near))
        neighbours, motions = self._neighbours(number, keys, near)
        shares, crops = neighbours.new_zeros(len(keys), most, 1, size, size), neighbours
        if any(self._shows_damage(other) for other in unique(near)):
            crops = neighbours.clone()
            for row, others in enumerate(near):
                for place, other in enumerate(others):
                    crops[row, place] = self._records[other].crops[number]
                    shares[row, place] = present(self._records[other].found).share[0]
        own = join_found([present(self._records[key].found) for key in keys])
        before, still = shares.new_zeros(len(keys), most, dtype=torch.bool), shares.new_zeros(len(keys), most, 2, 3)
        for row, (key, others) in enumerate(zip(keys, near, strict=True)):
            for place, other in enumerate(others):
                before[row, place] = other < key
                still[row, place] = torch.from_numpy(self._still(key, other))
        lean = torch.tensor([lean_of(self._records[key].to_crop[:, 1]) for key in keys])
        around = NearFrames(FoundDamage(crops, shares, neighbours), motions, before, still)
        removed = remove_damage(own, around, lean)
        for key, share, repaired in zip(keys, removed.share, removed.repaired, strict=True):
            record = self._records[key]
            record.damage, record.whole = share, carried_change(record.crops, repaired)

    def _find_damage(self, keys: Sequence[FaceKey]) -> None:
        """Look for the damage that faces show by themselves."""
        missing = [key for key in keys if self._records[key].found is None]
        detector = self._pipeline.damage_detector
        for group in self._records.by_stages(missing):
            number = self._records.last_stage(group[0])
            for part in batches(group, self._stages[number].settings.batch_size):
                network = None if detector is None else detector.get()
                found = find_damage(network, self._records.stack(number, "crop", part))
                for row, key in enumerate(part):
                    record = self._records[key]
                    # Copies, and the crops themselves where nothing was found: a row would keep its whole batch.
                    record.cleaned = carried_change(record.crops, found.repaired[row].clone())
                    share = found.share[row : row + 1].clone()
                    record.found = FoundDamage(record.crops[-1][None], share, record.cleaned[-1][None])

    def _still(self, key: FaceKey, other: FaceKey) -> np.ndarray:
        """Where in another crop of the face things lie that do not move in the picture: see `NearFrames`."""
        here, there = (np.vstack([self._records[one].to_crop, [0, 0, 1]]) for one in (key, other))
        side = self._stages[0].resolution
        to_sides = np.array([[1 / side, 0, 0.5 / side], [0, 1 / side, 0.5 / side], [0, 0, 1]])
        return np.asarray((to_sides @ there @ np.linalg.inv(to_sides @ here))[:2])

    def _shows_damage(self, key: FaceKey) -> bool:
        record = self._records[key]
        # Not by its values: a GPU would have to be waited for once for each neighbour.
        return record.cleaned[-1] is not record.crops[-1]

    def _neighbours(
        self, number: int, keys: Sequence[FaceKey], near: Sequence[Sequence[FaceKey]]
    ) -> tuple[Tensor, Motion]:
        """The neighbouring crops of faces at a stage, cleaned, and the motions to them, with leading axes (B, K).

        A face with fewer neighbours than others is padded with some of weight 0.
        """
        self.motions.find((key, other) for key, others in zip(keys, near, strict=True) for other in others)
        size, most = self._stages[number].resolution, max(map(len, near))
        pictures = torch.empty(len(keys), most, 3, size, size, device=self._pipeline.device)
        motions = []
        for row, (key, others) in enumerate(zip(keys, near, strict=True)):
            if others:
                torch.stack(self._records.pictures(number, "cleaned", others), out=pictures[row, : len(others)])
            pictures[row, len(others) :] = 0
            known = self.motions.between(key, others)
            absent = absent_motions(most - len(others), self._stages[0].resolution, pictures.device)
            motions.append(stack_motions([*known, *(absent[k] for k in range(most - len(others)))]) if most else absent)
        return pictures, stack_motions(motions)
