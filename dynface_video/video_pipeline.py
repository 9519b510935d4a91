"""Faces over time: a segment's faces are restored stage by stage, each with the frames around it.

At every stage, with w, r of that stage:

    crops t-w .. t+w --film damage removed--> crop t
    crops t-w .. t+w (and the coarser face t) --RM--> estimate t
    estimates t-r .. t+r --flow-guided average--> guide t --sampler--> sample t
    samples t-r .. t+r --flow-guided average--> face t

The face of a track's last stage gets the colour of its source.

The flow is that of the first stage's crops, scaled to every other stage. A face depends on the frames within
`reach` on either side, on no others: a segment that is given those has the same faces as the whole video. (Averaging
at every step of the sampler would make it depend on r frames more for each step.)

At the sampler's last step rho (see `guidance`) is so large that the guides have no weight, and the closed form with the
temporal term is the weighted mean of `temporal_average`.

Networks and temporal work are two lanes of a `Runner`: with threads, the temporal work of some faces is done while the
networks are busy with others, also those of the next call of `begin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.colour_transfer import (
    ColourMatch,
    apply_colour,
    join_colour_matches,
    match_colour,
    mean_colour_match,
)
from dynface_video.lanes import InTurn, Runner, Task
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Stage
from dynface_video.temporal.damage import (
    FoundDamage,
    NearFrames,
    carried_change,
    find_damage,
    join_found,
    lean_of,
    remove_damage,
)
from dynface_video.temporal.flow_averaging import Pairs, temporal_average, warp_neighbours
from dynface_video.temporal.motion import Motion, absent_motions, stack_motions
from dynface_video.temporal.pair_motions import PairMotions, split

Item = TypeVar("Item")
Made = TypeVar("Made")

NETWORKS, TEMPORAL = "networks", "temporal"
"""The lanes of a video pipeline's work. Only the second reads and changes motions, colours and records."""

FULL_WEIGHT_LEVEL = 1.5 / 128
"""Relative blur level from which on faces are averaged with the full weight; less below it, by the square: a face that
is nearly sharp has little noise to lose, and motion finer than the flow can follow."""
PIXELS_AT_ONCE = 1 << 22
"""Limit of neighbours' pixels in a batch of averages, for memory: a crowd has a thousand faces within reach."""


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
        runner: Does the work, in the lanes `NETWORKS` and `TEMPORAL`; None does it in turn.
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
        self._records: dict[FaceKey, FaceRecord] = {}
        self._motions = self._no_motions()

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
            to_crop: (2, 3), the picture as it is shown to the first crop, in pixels; None where all crops of a face
                show the same part of it.
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
            done.extend((_present(record.stages[-1].face), record.damage) for record in records)

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
                self._motions.discard(key, picture=gone)
            if gone:
                del self._records[key]
                continue
            for state, kept in zip(record.stages, lookback, strict=False):
                state.estimate = state.estimate if age <= kept.estimate else None
                state.sample = state.sample if age <= kept.sample else None
                state.face = state.face if age <= kept.face else None

    def close(self) -> None:
        """Drop everything, once no more work is under way: motions refer to the pipeline that refers to them, and what
        they hold would stay in memory until Python looks for such circles."""
        self._records.clear()
        self._motions = self._no_motions()
        self._samplers = []

    def _no_motions(self) -> PairMotions[FaceKey]:
        return PairMotions(self._cleaned, self._validity)

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
            faces = _unique([top, coarse])
            samples = self._spread(faces, stage) if averaging_passes(stage) == 2 else faces
            estimates = self._spread(samples, stage) if averaging_passes(stage) else samples
            plan.append(_Needs(estimates, samples, faces))
            coarse = estimates
        return plan[::-1]

    def _spread(self, keys: Iterable[FaceKey], stage: Stage) -> list[FaceKey]:
        return _unique(self._around(key, stage.temporal_radius) for key in keys)

    def _around(self, key: FaceKey, radius: int) -> list[FaceKey]:
        """The face itself and its observed neighbours: in a bridged gap the crop may show something else."""
        observed = self.tracks[key.track].track.observed
        near = (FaceKey(key.track, at) for at in range(key.at - radius, key.at + radius + 1))
        return [other for other in near if other == key or (other in self._records and observed[other.at])]

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
        for part in _batches(self._unplanned(number, "estimate", keys), stage.settings.batch_size):
            coarser = self._planned(number - 1, "face", part) if self._reads_coarse(number) else []
            read: list[_NetworkInput] = []
            prepared = self._runner.submit(TEMPORAL, partial(self._prepare, number, part, read), coarser)
            task = self._runner.submit(NETWORKS, partial(self._regress, number, part, read), [prepared])
            self._plan_results(number, "estimate", part, task)

    def _reads_coarse(self, number: int) -> bool:
        return number > 0 and self.stages[number].restoration.reads_coarse

    def _prepare(self, number: int, keys: Sequence[FaceKey], read: list[_NetworkInput]) -> None:
        """Make what RM reads of some faces, and append it to `read`."""
        stage = self.stages[number]
        crops = self._without_damage(number, keys)
        coarse = None
        if self._reads_coarse(number):
            faces = torch.stack([_present(self._records[key].stages[number - 1].face) for key in keys])
            coarse = enlarge_coarse(2 * faces - 1, stage.resolution) / 2 + 0.5
        read.append(_NetworkInput(crops, coarse, self._windows(number, keys, crops) if stage.window_radius else []))

    def _regress(self, number: int, keys: Sequence[FaceKey], read: list[_NetworkInput]) -> None:
        own = read.pop()
        estimates = self.stages[number].regress(own.crops, own.coarse, own.windows)
        for key, estimate in zip(keys, estimates.estimate, strict=True):
            self._records[key].stages[number].estimate = estimate

    def _without_damage(self, number: int, keys: Sequence[FaceKey]) -> Tensor:
        """The crops of a stage without film damage, (B, 3, R, R)."""
        if self.pipeline.settings.remove_damage:
            missing = [key for key in keys if self._records[key].whole is None]
            for group in self._by_stages(missing):
                size = self.stages[self._last(group[0])].resolution
                for part in _batches(
                    group, max(1, PIXELS_AT_ONCE // ((2 * self.stages[0].window_radius + 1) * size**2))
                ):
                    self._remove_damage(part)
        return self._stack(number, "whole", keys)

    def _remove_damage(self, keys: Sequence[FaceKey]) -> None:
        """Remove the damage of faces that go through the same stages, on their last crops; the others follow."""
        number, near = self._last(keys[0]), self._others(keys, self.stages[0].window_radius)
        self._find_damage(_unique([keys, *near]))
        size, most = self.stages[number].resolution, max(map(len, near))
        neighbours, motions = self._neighbours(number, keys, near)
        shares, crops = neighbours.new_zeros(len(keys), most, 1, size, size), neighbours
        if any(self._shows_damage(other) for other in _unique(near)):
            crops = neighbours.clone()
            for row, others in enumerate(near):
                for place, other in enumerate(others):
                    crops[row, place] = self._records[other].crops[number]
                    shares[row, place] = _present(self._records[other].found).share[0]
        own = join_found([_present(self._records[key].found) for key in keys])
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
        for group in self._by_stages(missing):
            number = self._last(group[0])
            for part in _batches(group, self.stages[number].settings.batch_size):
                found = find_damage(self.pipeline.damage_detector, self._stack(number, "crop", part))
                for row, key in enumerate(part):
                    record = self._records[key]
                    record.found = found[row : row + 1]
                    record.cleaned = carried_change(record.crops, record.found.repaired[0])

    def _cleaned(self, keys: Sequence[FaceKey], number: int = 0) -> Tensor:
        """The crops of a stage without the damage that they show by themselves, (B, 3, R, R)."""
        if self.pipeline.settings.remove_damage:
            self._find_damage(keys)
        return self._stack(number, "cleaned", keys)

    def _still(self, key: FaceKey, other: FaceKey) -> np.ndarray:
        """Where in another crop of the face things lie that do not move in the picture: see `NearFrames`."""
        here, there = (np.vstack([self._records[one].to_crop, [0, 0, 1]]) for one in (key, other))
        side = self.stages[0].resolution
        to_sides = np.array([[1 / side, 0, 0.5 / side], [0, 1 / side, 0.5 / side], [0, 0, 1]])
        return np.asarray((to_sides @ there @ np.linalg.inv(to_sides @ here))[:2])

    def _shows_damage(self, key: FaceKey) -> bool:
        return bool(_present(self._records[key].found).share.any())

    def _last(self, key: FaceKey) -> int:
        """Number of the last stage of a face."""
        return self.tracks[key.track].stage_count - 1

    def _by_stages(self, keys: Sequence[FaceKey]) -> list[list[FaceKey]]:
        """Faces that go through the same stages, together."""
        groups: dict[int, list[FaceKey]] = {}
        for key in keys:
            groups.setdefault(self._last(key), []).append(key)
        return list(groups.values())

    def _windows(self, number: int, keys: Sequence[FaceKey], own: Tensor) -> list[Tensor]:
        """The neighbouring crops of each face, warped onto its own crop (B, 3, R, R): (K, 3, R, R) each."""
        near = self._others(keys, self.stages[number].window_radius)
        others = sorted(_unique(near))
        if not others:
            return [own.new_zeros(0, *own.shape[1:]) for _ in keys]
        pairs = self._pairs(keys, near, others)
        masks = [[self._records[key].validity for key in some] for some in (keys, others)]
        windows = warp_neighbours(own, self._cleaned(others, number), pairs, *masks)
        rows = [[row for row, target in enumerate(pairs.targets) if target == face] for face in range(len(keys))]
        return [windows[own_rows] for own_rows in rows]

    def _sample(self, number: int, keys: Sequence[FaceKey]) -> None:
        """Have missing samples of a stage drawn, from guides averaged over time; without a sampler those are the
        samples."""
        missing = self._unplanned(number, "sample", keys)
        if not missing:
            return
        stage = self.stages[number]
        drawn: dict[FaceKey, int] = {}
        averaging = []
        for part in _batches(missing, self._averages_at_once(stage)):
            near = self._planned(number, "estimate", self._spread(part, stage))
            averaging.append(self._runner.submit(TEMPORAL, partial(self._guide, number, part, drawn), near))
        task = self._runner.submit(NETWORKS, partial(self._draw, number, drawn), averaging)
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
            for part in _batches(group, self._averages_at_once(stage)):
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
        faces = self._average(number, keys, "sample") if twice else self._stack(number, "sample", keys)
        if self.tracks[keys[0].track].stage_count == number + 1:
            faces = self._coloured(faces, number, keys, stage.temporal_radius if twice else 0)
        for key, face in zip(keys, faces, strict=True):
            self._records[key].stages[number].face = face

    def _coloured(self, faces: Tensor, number: int, keys: Sequence[FaceKey], radius: int) -> Tensor:
        """Faces (B, 3, R, R) of a stage in their sources' colour, measured over `radius` frames on either side."""
        near = [self._around(key, radius) for key in keys]
        self._match_colours(_unique(near), number)
        colours = {key: _present(self._records[key].stages[number].colour) for key in _unique(near)}
        matches = [mean_colour_match([colours[other] for other in others]) for others in near]
        return apply_colour(faces, join_colour_matches(matches))

    def _match_colours(self, keys: Sequence[FaceKey], number: int) -> None:
        """Measure the colour changes that give samples of a stage their sources' colour."""
        missing = [key for key in keys if self._records[key].stages[number].colour is None]
        for group in split(missing, lambda key: self._records[key].validity is None):
            for faces in _batches(group, self.stages[number].settings.batch_size):
                crops = self._stack(number, "whole", faces)
                grey = [self.tracks[key.track].grey for key in faces]
                match = match_colour(self._stack(number, "sample", faces), crops, grey, self._validity(faces))
                for row, key in enumerate(faces):
                    self._records[key].stages[number].colour = match[row : row + 1]

    def _validity(self, keys: Sequence[FaceKey]) -> Tensor | None:
        """The masks of crops, (B, 1, R, R), or None where all lie inside the picture."""
        masks = [self._records[key].validity for key in keys]
        if all(mask is None for mask in masks):
            return None
        size = self.stages[0].resolution
        full = torch.ones(1, size, size, device=self.pipeline.device)
        return torch.stack([full if mask is None else mask for mask in masks])

    def _average(self, number: int, keys: Sequence[FaceKey], name: str) -> Tensor:
        """Flow-guided averages of a result of these faces, (B, 3, R, R)."""
        near = self._others(keys, self.stages[number].temporal_radius)
        others = [*keys, *sorted(set(_unique(near)) - set(keys))]
        pictures = self._stack(number, name, others)
        if not any(near):
            return pictures
        weights = [self._temporal_weight(key) for key in keys]
        return temporal_average(
            pictures,
            len(keys),
            self._pairs(keys, near, others),
            torch.tensor(weights, dtype=torch.float32, device=pictures.device),
            [self._records[key].validity for key in others],
        )

    def _pairs(self, keys: Sequence[FaceKey], near: Sequence[Sequence[FaceKey]], others: Sequence[FaceKey]) -> Pairs:
        """The pairs of faces with their neighbours, at least one, in the order of those, as rows of `others`."""
        rows = {other: row for row, other in enumerate(others)}
        found = sorted((other, row) for row, own in enumerate(near) for other in own)
        self._motions.find((keys[row], other) for other, row in found)
        motions = [self._motions.between(keys[row], [other])[0] for other, row in found]
        return Pairs([row for _, row in found], [rows[other] for other, _ in found], stack_motions(motions))

    def _others(self, keys: Sequence[FaceKey], radius: int) -> list[list[FaceKey]]:
        return [[other for other in self._around(key, radius) if other != key] for key in keys]

    def _neighbours(
        self, number: int, keys: Sequence[FaceKey], near: Sequence[Sequence[FaceKey]]
    ) -> tuple[Tensor, Motion]:
        """The neighbouring crops of faces at a stage, cleaned, and the motions to them, with leading axes (B, K).

        A face with fewer neighbours than others is padded with some of weight 0.
        """
        self._motions.find((key, other) for key, others in zip(keys, near, strict=True) for other in others)
        size, most = self.stages[number].resolution, max(map(len, near))
        pictures = torch.empty(len(keys), most, 3, size, size, device=self.pipeline.device)
        motions = []
        for row, (key, others) in enumerate(zip(keys, near, strict=True)):
            if others:
                torch.stack(self._pictures(number, "cleaned", others), out=pictures[row, : len(others)])
            pictures[row, len(others) :] = 0
            known = self._motions.between(key, others)
            absent = absent_motions(most - len(others), self.stages[0].resolution, pictures.device)
            motions.append(stack_motions([*known, *(absent[k] for k in range(most - len(others)))]) if most else absent)
        return pictures, stack_motions(motions)

    def _temporal_weight(self, key: FaceKey) -> float:
        if self.stages[0].sampler is None:
            # Nobody has read a level: a restorer alone draws anew in every frame, however sharp that is.
            return self.pipeline.settings.temporal_weight
        level = float(self.tracks[key.track].levels[0, key.at])
        return min(1.0, level / FULL_WEIGHT_LEVEL) ** 2 * self.pipeline.settings.temporal_weight

    def _stack(self, number: int, name: str, keys: Sequence[FaceKey]) -> Tensor:
        return torch.stack(self._pictures(number, name, keys))

    def _pictures(self, number: int, name: str, keys: Sequence[FaceKey]) -> list[Tensor]:
        """Pictures of faces at a stage, (3, R, R) each: their crops, also "cleaned" or "whole", or a result."""
        records = [self._records[key] for key in keys]
        if name == "crop":
            return [record.crops[number] for record in records]
        if name == "cleaned":
            return [(record.cleaned or record.crops)[number] for record in records]
        if name == "whole":
            return [(record.whole or record.crops)[number] for record in records]
        return [_present(getattr(record.stages[number], name)) for record in records]

    def _averages_at_once(self, stage: Stage) -> int:
        pixels = (2 * stage.temporal_radius + 1) * stage.resolution**2
        return max(1, PIXELS_AT_ONCE // pixels)

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


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _present(made: Made | None) -> Made:
    if made is None:
        raise RuntimeError("a face was requested before the faces that it depends on were restored")
    return made


def _unique(groups: Iterable[Iterable[FaceKey]]) -> list[FaceKey]:
    return list(dict.fromkeys(key for group in groups for key in group))
