"""Faces over time: a segment's faces are restored stage by stage, each with the frames around it.

At every stage, with w, r of that stage:

    crops t-w .. t+w --film damage removed--> crop t
    crops t-w .. t+w (and the coarser face t) --RM--> estimate t
    estimates t, t±1, t±2, t±4 .. t±r --flow-guided average--> guide t --sampler--> sample t
    samples t, t±1, t±2, t±4 .. t±r --flow-guided average--> face t

The face of a track's last stage gets the colour of its source.

The flow is that of the first stage's crops, scaled to every other stage. A face depends on the frames within
`reach` on either side, on no others: a segment that is given those has the same faces as the whole video. (Averaging
at every step of the sampler would make it depend on r frames more for each step.)

At the sampler's last step rho (see `guidance`) is so large that the guides have no weight, and the closed form with the
temporal term is the weighted mean of `temporal_average`.

RM, the sampler and temporal work are three lanes of a `Runner`: with threads, some faces are estimated while others are
drawn and others again averaged, also those of the next call of `begin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.face_crops import FaceCrops, faces_at_once
from dynface_video.face_records import FaceKey, FaceRecord, FaceRecords, StageState, batches, present, unique
from dynface_video.faces.colour_transfer import (
    apply_colour,
    join_colour_matches,
    match_colour,
    mean_colour_match,
)
from dynface_video.lanes import InTurn, Runner, Task
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Stage
from dynface_video.temporal.flow_averaging import temporal_average
from dynface_video.temporal.pair_motions import split

REGRESSION, SAMPLING, TEMPORAL = LANES = ("regression", "sampling", "temporal")
"""The lanes of a video pipeline's work. Only the last uses motions and colours; the others write their own results into
the records."""

FULL_WEIGHT_LEVEL = 0.5 / 128
"""Relative blur level from which on faces are averaged with the full weight; less below it, by the square: a face that
is nearly sharp has little noise to lose, and motion finer than the flow can follow. Off
two clips that were blurred and coded SE read 0.1 to 0.7 pixels of 128."""
LEAST_WEIGHT = 0.05
"""Faces with at most this share of the full weight are not averaged; larger weights rise from 0, without a step."""


def averaging_passes(stage: Stage) -> int:
    """How often a stage averages over time: its estimates, and its samples where it has a sampler."""
    if stage.temporal_radius == 0:
        return 0
    return 1 if stage.sampler is None else 2


def reach(stages: Sequence[Stage]) -> int:
    """How many frames on either side a restored face depends on."""
    return sum(stage.window_radius + averaging_passes(stage) * stage.temporal_radius for stage in stages)


@dataclass(frozen=True)
class _Needs:
    """The faces whose estimates, samples and results a stage has to compute."""

    estimates: list[FaceKey]
    samples: list[FaceKey]
    faces: list[FaceKey]


class BegunFaces:
    """Faces that are being restored."""

    def __init__(
        self, keys: Sequence[FaceKey], done: list[tuple[Tensor, Tensor | None]], task: Task, runner: Runner
    ) -> None:
        self._keys, self._done, self._task, self._runner = keys, done, task, runner

    @cached_property
    def faces(self) -> dict[FaceKey, np.ndarray]:
        """The faces of their last stage, (R, R, 3) in [0, 1], in the colour of their source, once they are restored."""
        self._runner.wait([self._task])
        arrays = (to_array(face[None])[0] for face, _ in self._done)
        return dict(zip(self._keys, arrays, strict=True))

    @cached_property
    def damage(self) -> dict[FaceKey, np.ndarray]:
        """Where the crops of faces were damaged, (R, R) in [0, 1] of the last stage; faces without any are left out."""
        self._runner.wait([self._task])
        shares = {key: share for key, (_, share) in zip(self._keys, self._done, strict=True) if share is not None}
        return {key: share[0].cpu().numpy() for key, share in shares.items() if share.any()}


@dataclass(frozen=True, eq=False)
class _NetworkInput:
    """What RM reads of some faces; see `Stage.regress`."""

    crops: Tensor
    coarse: Tensor | None
    windows: list[Tensor]


class VideoPipeline:
    """Restores tracked faces frame by frame and keeps what their neighbours will need.

    Args:
        pipeline: The stages.
        tracks: Of the faces to restore, by number.
        seed: Of the job.
        runner: Does the work, in the lanes of `LANES`; None does it in turn.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        tracks: Mapping[int, AnalyzedTrack],
        seed: int,
        runner: Runner | None = None,
    ) -> None:
        self.pipeline, self.tracks, self.seed = pipeline, tracks, seed
        self._runner: Runner = InTurn() if runner is None else runner
        self._begun: list[Task] = []
        most = max((track.stage_count for track in tracks.values()), default=1)
        self.stages = pipeline.stages[:most]
        self._samplers = [None if stage.sampler is None else stage.face_sampler() for stage in self.stages]
        self._records = FaceRecords(tracks, self.stages[0].resolution, pipeline.device)
        self._crops = FaceCrops(self._records, pipeline)

    def add(
        self,
        key: FaceKey,
        crops: Sequence[np.ndarray],
        validity: np.ndarray | None = None,
        *,
        to_crop: np.ndarray | None = None,
    ) -> None:
        """Add the source crops of a face; `restore` needs those of all frames within `reach`.

        Args:
            key: The face.
            crops: (R, R, 3) in [0, 1], one for each of its stages.
            validity: (R, R) as of `crop_validity` for the first crop; None if the crop lies inside the picture. Pixels
                outside of it are ignored in flow, light and colour.
            to_crop: (2, 3), the transform from the displayed frame to the first crop, pixels; None if every crop of the
                face shows the same part of the frame.
        """
        device = self.pipeline.device
        tensors = tuple(to_tensor(crop[None], device)[0] for crop in crops)
        inside = None if validity is None or validity.min() >= 1 else torch.from_numpy(validity)[None].to(device)
        self._records[key] = FaceRecord(tensors, tuple(StageState() for _ in tensors), inside)
        if to_crop is not None:
            self._records[key].to_crop = to_crop

    def restore(self, wanted: Sequence[FaceKey]) -> list[np.ndarray]:
        """Restore faces.

        Args:
            wanted: Their keys.

        Returns:
            The faces of their last stage, (R, R, 3) in [0, 1], in the colour of their source.
        """
        faces = self.begin(wanted).faces
        return [faces[key] for key in wanted]

    def begin(self, wanted: Sequence[FaceKey]) -> BegunFaces:
        """Begin to restore faces; those of several calls are restored at the same time.

        Args:
            wanted: Their keys.
        """
        for number, needs in enumerate(self._plan(wanted)):
            self._estimate(number, needs.estimates)
            self._sample(number, needs.samples)
            self._finish(number, needs.faces)
        records = [self._records[key] for key in wanted]
        done: list[tuple[Tensor, Tensor | None]] = []

        def collect() -> None:
            done.extend((present(record.stages[-1].face), record.damage) for record in records)

        task = self._runner.submit(TEMPORAL, collect, [record.stages[-1].tasks["face"] for record in records])
        self._begun = [one for one in self._begun if not one.done] + [task]
        return BegunFaces(wanted, done, task, self._runner)

    @property
    def unet_evaluations(self) -> int:
        """Network evaluations of the prior so far."""
        return sum(sampler.evaluations for sampler in self._samplers if sampler is not None)

    def discard(self, following: Mapping[int, int]) -> None:
        """Drop what no face will need any more, once the faces begun so far are restored.

        Args:
            following: For each track the first frame, counted from its start, that may still be asked for.
        """
        self._runner.submit(TEMPORAL, partial(self._discard, dict(following)), self._begun)

    def _discard(self, following: Mapping[int, int]) -> None:
        lookback = self._lookback()
        furthest = max(kept.estimate + stage.window_radius for kept, stage in zip(lookback, self.stages, strict=True))
        for key, record in list(self._records.items()):
            age = following.get(key.track, key.at) - key.at
            gone = age > furthest
            if age > 0:
                self._crops.motions.discard(key, picture=gone)
            if gone:
                del self._records[key]
                continue
            for state, kept in zip(record.stages, lookback, strict=False):
                state.estimate = state.estimate if age <= kept.estimate else None
                state.sample = state.sample if age <= kept.sample else None
                state.face = state.face if age <= kept.face else None

    def close(self) -> None:
        """Drop everything, once no more work is under way."""
        self._records.clear()
        self._crops.close()
        self._samplers = []

    def _lookback(self) -> list[_Lookback]:
        kept, after = [], 0
        for stage in reversed(self.stages):
            radius, passes = stage.temporal_radius, averaging_passes(stage)
            sample = after + (radius if passes == 2 else 0)
            estimate = after + passes * radius
            kept.append(_Lookback(estimate, sample, after))
            after = estimate
        return kept[::-1]

    def _plan(self, wanted: Sequence[FaceKey]) -> list[_Needs]:
        """What each stage has to compute, coarse to fine."""
        plan: list[_Needs] = []
        coarse: list[FaceKey] = []
        for number, stage in reversed(list(enumerate(self.stages))):
            top = [key for key in wanted if self.tracks[key.track].stage_count == number + 1]
            faces = unique([top, coarse])
            samples = self._spread(faces, stage) if averaging_passes(stage) == 2 else faces
            estimates = self._spread(samples, stage) if averaging_passes(stage) else samples
            plan.append(_Needs(estimates, samples, faces))
            coarse = estimates
        return plan[::-1]

    def _spread(self, keys: Iterable[FaceKey], stage: Stage) -> list[FaceKey]:
        return unique(self._records.around(key, stage.averaging_distances) for key in keys)

    def _unplanned(self, number: int, name: str, keys: Iterable[FaceKey]) -> list[FaceKey]:
        """Those of a stage's results that nothing computes yet."""
        return [key for key in keys if name not in self._records[key].stages[number].tasks]

    def _planned(self, number: int, name: str, keys: Iterable[FaceKey]) -> list[Task]:
        """What computes results of a stage."""
        return list(dict.fromkeys(self._records[key].stages[number].tasks[name] for key in keys))

    def _plan_results(self, number: int, name: str, keys: Iterable[FaceKey], task: Task) -> None:
        for key in keys:
            self._records[key].stages[number].tasks[name] = task

    def _estimate(self, number: int, keys: Sequence[FaceKey]) -> None:
        """Have the missing estimates of a stage computed."""
        stage = self.stages[number]
        for part in batches(self._unplanned(number, "estimate", keys), stage.settings.batch_size):
            coarser = self._planned(number - 1, "face", part) if self._reads_coarse(number) else []
            read: list[_NetworkInput] = []
            prepared = self._runner.submit(TEMPORAL, partial(self._prepare, number, part, read), coarser)
            task = self._runner.submit(REGRESSION, partial(self._regress, number, part, read), [prepared])
            self._plan_results(number, "estimate", part, task)

    def _reads_coarse(self, number: int) -> bool:
        return number > 0 and self.stages[number].restoration.reads_coarse

    def _prepare(self, number: int, keys: Sequence[FaceKey], read: list[_NetworkInput]) -> None:
        """Make what RM reads of some faces, and append it to `read`."""
        stage = self.stages[number]
        crops = self._crops.without_damage(number, keys)
        coarse = None
        if self._reads_coarse(number):
            faces = torch.stack([present(self._records[key].stages[number - 1].face) for key in keys])
            coarse = enlarge_coarse(2 * faces - 1, stage.resolution) / 2 + 0.5
        read.append(
            _NetworkInput(crops, coarse, self._crops.windows(number, keys, crops) if stage.window_radius else [])
        )

    def _regress(self, number: int, keys: Sequence[FaceKey], read: list[_NetworkInput]) -> None:
        own, stage = read.pop(), self.stages[number]
        made = stage.regress(own.crops, own.coarse, own.windows)
        estimates = stage.self_ensemble(made, own.crops, own.coarse, own.windows)
        for key, estimate in zip(keys, estimates, strict=True):
            self._records[key].stages[number].estimate = estimate

    def _sample(self, number: int, keys: Sequence[FaceKey]) -> None:
        """Have missing samples of a stage drawn, from guides averaged over time; without a sampler those are the
        samples."""
        missing = self._unplanned(number, "sample", keys)
        if not missing:
            return
        stage = self.stages[number]
        drawn: dict[FaceKey, int] = {}
        averaging = []
        for part in self._averaging_batches(missing, stage):
            near = self._planned(number, "estimate", self._spread(part, stage))
            averaging.append(self._runner.submit(TEMPORAL, partial(self._guide, number, part, drawn), near))
        task = self._runner.submit(SAMPLING, partial(self._draw, number, drawn), averaging)
        self._plan_results(number, "sample", missing, task)

    def _guide(self, number: int, keys: Sequence[FaceKey], drawn: dict[FaceKey, int]) -> None:
        """Average estimates to guides: samples already where nothing is drawn, otherwise `drawn` gets their numbers."""
        guides = dict(zip(keys, self._average(number, keys, "estimate"), strict=True))
        steps = {key: int(self.tracks[key.track].starting_steps[number, key.at]) for key in keys}
        sampler, sampled = self._samplers[number], [key for key in keys if steps[key] > 0]
        if sampler is not None and sampled:
            numbers = sampler.add(
                torch.stack([guides.pop(key) for key in sampled]),
                np.array([self.tracks[key.track].levels[number, key.at] for key in sampled]),
                np.array([steps[key] for key in sampled]),
                [self._noise_key(key) for key in sampled],
                np.array([self._strength(key) for key in sampled]),
            )
            drawn.update(zip(sampled, numbers, strict=True))
        for key, guide in guides.items():
            self._records[key].stages[number].sample = guide

    def _draw(self, number: int, drawn: Mapping[FaceKey, int]) -> None:
        sampler = self._samplers[number]
        if sampler is not None:
            for key, face in zip(drawn, sampler.take(drawn.values()), strict=True):
                self._records[key].stages[number].sample = face

    def _finish(self, number: int, keys: Sequence[FaceKey]) -> None:
        """Have the missing faces of a stage made: samples averaged over time, those of a track's last stage in the
        colour of their source.

        The next stage's RM reads the source itself, and has learned to start from faces that are RM's own.
        """
        stage = self.stages[number]
        missing = self._unplanned(number, "face", keys)
        for group in split(missing, lambda key: self.tracks[key.track].stage_count == number + 1):
            for part in self._averaging_batches(group, stage):
                near = self._planned(number, "sample", self._averaged(part, number))
                task = self._runner.submit(TEMPORAL, partial(self._complete, number, part), near)
                self._plan_results(number, "face", part, task)

    def _averaged(self, keys: Sequence[FaceKey], number: int) -> Sequence[FaceKey]:
        """The faces whose samples become part of these."""
        stage = self.stages[number]
        return self._spread(keys, stage) if averaging_passes(stage) == 2 else keys

    def _complete(self, number: int, keys: Sequence[FaceKey]) -> None:
        """Make faces of a stage, all of their track's last one or none."""
        stage = self.stages[number]
        twice = averaging_passes(stage) == 2
        faces = self._average(number, keys, "sample") if twice else self._records.stack(number, "sample", keys)
        if self.tracks[keys[0].track].stage_count == number + 1:
            faces = self._coloured(faces, number, keys, stage.averaging_distances if twice else ())
        for key, face in zip(keys, faces, strict=True):
            self._records[key].stages[number].face = face

    def _coloured(self, faces: Tensor, number: int, keys: Sequence[FaceKey], distances: Sequence[int]) -> Tensor:
        """Faces (B, 3, R, R) of a stage in their sources' colour, measured on those at these distances as well."""
        near = [self._records.around(key, distances) for key in keys]
        self._match_colours(unique(near), number)
        colours = {key: present(self._records[key].stages[number].colour) for key in unique(near)}
        matches = [mean_colour_match([colours[other] for other in others]) for others in near]
        return apply_colour(faces, join_colour_matches(matches))

    def _match_colours(self, keys: Sequence[FaceKey], number: int) -> None:
        """Measure the colour changes that give samples of a stage their sources' colour."""
        missing = [key for key in keys if self._records[key].stages[number].colour is None]
        for group in split(missing, lambda key: self._records[key].validity is None):
            for faces in batches(group, self.stages[number].settings.batch_size):
                crops = self._records.stack(number, "whole", faces)
                grey = [self.tracks[key.track].grey for key in faces]
                match = match_colour(
                    self._records.stack(number, "sample", faces), crops, grey, self._records.validity(faces)
                )
                for row, key in enumerate(faces):
                    self._records[key].stages[number].colour = match[row : row + 1]

    def _average(self, number: int, keys: Sequence[FaceKey], name: str) -> Tensor:
        """Flow-guided averages of a result of these faces, (B, 3, R, R)."""
        distances = self.stages[number].averaging_distances
        weights = {key: self._temporal_weight(key) for key in keys}
        averaged = [key for key in keys if weights[key] > 0 and len(self._records.around(key, distances)) > 1]
        made = dict(zip(keys, self._records.pictures(number, name, keys), strict=True))
        if averaged:
            near = self._records.others(averaged, distances)
            others = [*averaged, *sorted(set(unique(near)) - set(averaged))]
            averages = temporal_average(
                self._records.stack(number, name, others),
                len(averaged),
                self._crops.pairs(averaged, near, others),
                torch.tensor([weights[key] for key in averaged], dtype=torch.float32, device=self.pipeline.device),
                [self._records[key].validity for key in others],
            )
            made |= zip(averaged, averages, strict=True)
        return torch.stack(list(made.values()))

    def _temporal_weight(self, key: FaceKey) -> float:
        if self.stages[0].sampler is None:
            # No level was measured: a restorer alone draws anew in every frame, however sharp that is.
            return self.pipeline.settings.temporal_weight
        level = float(self.tracks[key.track].levels[0, key.at])
        share = (min(1.0, level / FULL_WEIGHT_LEVEL) ** 2 - LEAST_WEIGHT) / (1 - LEAST_WEIGHT)
        return max(0.0, share) * self.pipeline.settings.temporal_weight

    def _averaging_batches(self, keys: Sequence[FaceKey], stage: Stage) -> Iterable[list[FaceKey]]:
        if not keys:
            return ()
        crop, neighbours = self._records[keys[0]].crops[0], 2 * len(stage.averaging_distances)
        return batches(keys, faces_at_once(crop, stage.resolution, neighbours=neighbours))

    def _strength(self, key: FaceKey) -> float:
        strengths, common = self.tracks[key.track].strengths, self.pipeline.settings.strength
        return common if strengths is None or np.isnan(strengths[key.at]) else float(strengths[key.at])

    def _noise_key(self, key: FaceKey) -> NoiseKey:
        settings = self.pipeline.settings
        return NoiseKey(self.seed, self.tracks[key.track].noise, key.at, settings.noise_correlation)


@dataclass(frozen=True)
class _Lookback:
    """How many frames before the next wanted one a stage's estimates, samples and faces are still needed."""

    estimate: int
    sample: int
    face: int
