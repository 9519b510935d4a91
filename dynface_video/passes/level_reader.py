"""Blur levels read off tracked faces while a video is decoded for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dynface_video.faces.align import (
    compose,
    crop_validity,
    extract_crop,
    scaling,
    transform_scale,
)
from dynface_video.faces.colour import is_grey
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Stage
from dynface_video.temporal.flow_averaging import every_pair, neighbour_motions, warp_neighbours
from dynface_video.tracking.observation import Observation

READING_BATCH = 8


@dataclass(frozen=True)
class LevelReading:
    """SE's reading of one face in one frame.

    Attributes:
        frame: Its number.
        centre: Of the landmarks, (2,).
        levels: Relative levels of the stages that the face can go through, up to the last with SE; 0 in one without.
        confidences: Of the levels, in (0, 1].
        grey: Whether the crop is without colour.
    """

    frame: int
    centre: np.ndarray
    levels: tuple[float, ...]
    confidences: tuple[float, ...]
    grey: bool


@dataclass(frozen=True, eq=False)
class _SeenFace:
    """A crop of the first stage, (3, R, R), and which of its pixels show the picture, (R, R) in [0, 1]."""

    crop: Tensor
    validity: np.ndarray


@dataclass
class _Waiting:
    """A face whose level is due: its crops of every stage, and its window warped onto the first, (K, 3, R, R)."""

    observation: Observation
    crops: list[Tensor]
    window: Tensor
    validity: np.ndarray


@dataclass
class LevelReader:
    """Reads blur levels of tracked faces, every `interval` frames of a track, in batches.

    A level belongs to what RM makes of a crop and its window, so a reading waits for the crops that come after it.
    """

    pipeline: FacePipeline
    interval: int
    readings: list[LevelReading] = field(default_factory=list)
    _last: dict[int, int] = field(default_factory=dict)
    _crops: dict[int, dict[int, _SeenFace]] = field(default_factory=dict)
    _finer: dict[tuple[int, int], list[Tensor]] = field(default_factory=dict)
    _due: list[Observation] = field(default_factory=list)
    _waiting: list[_Waiting] = field(default_factory=list)

    def see(self, index: int, picture: np.ndarray, observations: Sequence[Observation]) -> None:
        """Take the crops of a frame's faces, and read levels once a batch of them is complete.

        Args:
            index: Of the frame; rising from call to call.
            picture: (H, W, 3) uint8, display coordinates.
            observations: The tracked faces.
        """
        first = self.pipeline.stages[0]
        for observation in observations:
            last = self._last.get(observation.track)
            due = last is None or index - last >= self.interval
            if observation.frame != index or not (due or first.window_radius):
                continue
            transform = self.pipeline.crop_transform(observation.detection.landmarks, first.resolution)
            crop = to_tensor(extract_crop(picture, transform, first.resolution)[None], self.pipeline.device)[0]
            validity = crop_validity(transform, first.resolution, picture.shape[1], picture.shape[0])
            self._crops.setdefault(observation.track, {})[index] = _SeenFace(crop, validity)
            if due:
                self._last[observation.track] = index
                self._due.append(observation)
                self._finer[observation.track, index] = self._finer_crops(picture, transform)
        self._gather(index - first.window_radius)
        if len(self._waiting) >= READING_BATCH:
            self._read()

    def flush(self) -> None:
        """Read the levels of the remaining crops, whose windows end with the video."""
        while self._due:
            self._gather(self._due[0].frame)
        self._read()

    def _finer_crops(self, picture: np.ndarray, transform: np.ndarray) -> list[Tensor]:
        """The crops of the stages after the first whose levels are to be read."""
        first = self.pipeline.stages[0].resolution
        stages = self.pipeline.stages_for(first / transform_scale(transform))
        while stages[1:] and stages[-1].sampler is None:
            stages = stages[:-1]
        crops = []
        for stage in stages[1:]:
            finer = compose(scaling(first, stage.resolution), transform)
            crop = extract_crop(picture, finer, stage.resolution)
            crops.append(to_tensor(crop[None], self.pipeline.device)[0])
        return crops

    def _gather(self, last: int) -> None:
        """Build the windows of crops due up to a frame, and drop crops that no later window needs."""
        radius = self.pipeline.stages[0].window_radius
        while self._due and self._due[0].frame <= last:
            observation = self._due.pop(0)
            own, frame = self._crops[observation.track], observation.frame
            near = [own[k] for k in range(frame - radius, frame + radius + 1) if k in own and k != frame]
            crops = [own[frame].crop, *self._finer.pop((observation.track, frame))]
            self._waiting.append(_Waiting(observation, crops, _window(own[frame], near), own[frame].validity))
        for track, crops_of_track in list(self._crops.items()):
            kept = {frame: crop for frame, crop in crops_of_track.items() if frame > last - radius}
            if kept:
                self._crops[track] = kept
            else:
                del self._crops[track]

    def _read(self) -> None:
        if not self._waiting:
            return
        levels: list[list[float]] = [[] for _ in self._waiting]
        confidences: list[list[float]] = [[] for _ in self._waiting]
        estimates: dict[int, Tensor] = {}
        stages = list(self.pipeline.stages)
        while stages and stages[-1].sampler is None:
            stages.pop()
        for number, stage in enumerate(stages):
            rows = [row for row, face in enumerate(self._waiting) if len(face.crops) > number]
            if not rows:
                break
            read = self._read_stage(stage, number, rows, estimates)
            for row, (level, confidence) in zip(rows, read, strict=True):
                levels[row].append(level)
                confidences[row].append(confidence)
        for face, own, sure in zip(self._waiting, levels, confidences, strict=True):
            centre = face.observation.detection.landmarks.mean(axis=0)
            grey = is_grey(to_array(face.crops[0][None])[0], validity=face.validity)
            self.readings.append(LevelReading(face.observation.frame, centre, tuple(own), tuple(sure), grey))
        self._waiting.clear()

    def _read_stage(
        self, stage: Stage, number: int, rows: Sequence[int], estimates: dict[int, Tensor]
    ) -> list[tuple[float, float]]:
        """Levels and confidences of the waiting faces `rows`; `estimates` holds the previous stage's and is updated."""
        crops = torch.stack([self._waiting[row].crops[number] for row in rows])
        coarse = None
        if number and stage.restoration.reads_coarse:
            before = torch.stack([estimates[row] for row in rows])
            coarse = enlarge_coarse(2 * before - 1, stage.resolution) / 2 + 0.5
        windows = [self._waiting[row].window for row in rows] if number == 0 else []
        made = stage.regress(crops, coarse, windows)
        estimates.update(zip(rows, made.estimate, strict=True))
        if stage.sampler is None:
            return [(0.0, 1.0)] * len(rows)
        levels, confidences = stage.estimate_levels(made)
        return list(zip(levels.tolist(), confidences.tolist(), strict=True))


def _window(middle: _SeenFace, near: Sequence[_SeenFace]) -> Tensor:
    """The neighbouring crops warped onto the middle one, (K, 3, R, R)."""
    if not near:
        return middle.crop.new_zeros(0, *middle.crop.shape)
    own, neighbours = middle.crop[None], torch.stack([face.crop for face in near])[None]
    masks, validity = dict[str, Tensor](), list[list[Tensor | None]]()
    if any(face.validity.min() < 1 for face in (middle, *near)):
        both = torch.from_numpy(np.stack([face.validity for face in (middle, *near)]))[:, None].to(own.device)
        masks = {"middle_valid": both[:1], "neighbours_valid": both[None, 1:]}
        validity = [[both[0]], list(both[1:])]
    pairs = every_pair(neighbour_motions(own, neighbours, **masks))
    return warp_neighbours(own, neighbours[0], pairs, *validity)
