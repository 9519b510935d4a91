"""A stage: the paper's method at one resolution R (docs/method.md 8).

    source crop at R, enlarged result of the coarser stage, window of neighbours
      --RM--> estimate --SE--> relative blur level --DSST--> starting step
      estimate blurred to that level = guide --guided sampler--> face at R

A pipeline is a list of stages, coarse to fine. A stage without a sampler gives RM's estimate.

Convention:
    Crops, estimates and faces are RGB tensors (B, 3, R, R) in [0, 1] on the stage's device; networks see [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynface_video.config import RestorationSettings
from dynface_video.cuda_graphs import CudaGraphs, RecordedDenoiser
from dynface_video.deferred import Deferred
from dynface_video.diffusion.engine import GuidedStep, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.levels import PAPER_RESOLUTION, level_in_pixels, relative_level
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.errors import InputError, ModelError
from dynface_video.face_sampler import FaceSampler
from dynface_video.models.adjuster import sobel_guidance_map
from dynface_video.models.protocols import BlurEstimator, Denoiser, FaceModel, GuidanceMap, Regression

NetworkName = str | dict[str, str]
Strength = float | np.ndarray

SHARP_PIXELS = (0.5, 1.5)
"""Blur in pixels of the last stage up to which all of the source's finer detail is kept, and from which on none."""


@dataclass(frozen=True)
class StageConfig:
    """A stage as a model folder's `model_index.json` describes it.

    A network is named by its subfolder, or, with a class of your own, as `{"class": "module.Class", "folder": NAME}`,
    or as `{"model": NAME}` by its name in the registry: a restorer that spandrel reads, or a published prior.

    Attributes:
        resolution: R, side of the crops in pixels.
        restoration: RM.
        blur_estimator: SE; None for a stage without a sampler.
        prior: None for a stage without a sampler.
        starting_steps: File of the prior's DSST.
        adjuster: The trained guidance map (DGSA).
        num_inference_steps: Network evaluations of a face that starts at `reference_step` or above.
        reference_step: Starting step from which a face gets all evaluations; in proportion below.
        last_step: Timestep of the last evaluation.
        least_starting_step: Faces that would start below it keep RM's estimate.
        temperature: Std of the noise that a face begins with.
        trust: lambda of the closed form: weight of the prior against the guides.
        finest_level: Relative level added to SE's: even a trusted estimate is smoother than a face.
        luminance_detail_only: Whether sampled detail changes only the luminance, and colour differences are RM's.
        window_radius: Neighbouring crops on either side that RM reads, frames.
        temporal_radius: Reach of the averages of estimates and faces over time, frames on each side.
        self_ensemble: Whether `Stage.self_ensemble` averages two estimates, where the settings want it.
    """

    resolution: int
    restoration: NetworkName
    blur_estimator: NetworkName | None = None
    prior: NetworkName | None = None
    starting_steps: str | None = None
    adjuster: NetworkName | None = None
    num_inference_steps: int = 12
    reference_step: int = 500
    last_step: int = 2
    least_starting_step: int = 0
    temperature: float = 1.0
    trust: float = 0.01
    finest_level: float = 0.25 / 128
    luminance_detail_only: bool = True
    window_radius: int = 2
    temporal_radius: int = 8
    self_ensemble: bool = False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StageConfig:
        """A stage's entry of `model_index.json`; raises ModelError for unknown or missing entries."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown or not {"resolution", "restoration"} <= set(values):
            raise ModelError(f"not a stage: unknown {sorted(unknown)}, and resolution and restoration are required")
        config = cls(**values)
        sampler = (config.blur_estimator, config.prior, config.starting_steps)
        if any(sampler) and not all(sampler):
            raise ModelError(f"the stage of {config.resolution} pixels needs blur_estimator, prior and starting_steps")
        return config


@dataclass(frozen=True, eq=False)
class Sampler:
    """What a stage draws with.

    Attributes:
        blur_estimator: SE.
        prior_source: The prior, or what loads it when a face is first sampled.
        starting_steps: The prior's table.
        adjuster: The trained guidance map, if there is one.
    """

    blur_estimator: BlurEstimator
    prior_source: Denoiser | Deferred[Denoiser]
    starting_steps: StartingStepTable
    adjuster: GuidanceMap | None = None

    @property
    def prior(self) -> Denoiser:
        """The prior, which is loaded now if it was not before; raises ModelError if it cannot be."""
        return self.prior_source.get() if isinstance(self.prior_source, Deferred) else self.prior_source

    def preload(self) -> None:
        """Begin to load the prior in a thread, where it is not loaded yet."""
        if isinstance(self.prior_source, Deferred):
            self.prior_source.start()


@dataclass(frozen=True, eq=False)
class Estimates:
    """A `Regression` of B crops, but float32 in [0, 1].

    Attributes:
        evidence: (B, 3, R, R).
        estimate: (B, 3, R, R), clipped.
    """

    evidence: Tensor
    estimate: Tensor


@dataclass(frozen=True, eq=False)
class SampledFaces:
    """The result of `Stage.sample`.

    Attributes:
        faces: (B, 3, R, R) in [0, 1].
        unet_evaluations: Network evaluations of the prior.
    """

    faces: Tensor
    unet_evaluations: int


@dataclass(frozen=True, eq=False)
class Stage:
    """The method at one resolution; see the module.

    `settings.strength` 0 is RM's own estimate, the closest to the input; 1 trusts RM only at twice the measured blur
    level, and the prior draws the rest. Arguments and results are SE's levels; strength is applied inside.

    Attributes:
        config: Of the model folder.
        restoration: RM.
        sampler: None for a stage that gives RM's estimate.
        settings: Of the user.
        device: Of the networks and tensors.
        dtype: Of the networks' arithmetic.
        fixed_batches: Whether the networks always get `settings.batch_size` faces, filled up with a repeated one where
            fewer are left: kernels differ with the size of a batch in the last bits, so only then is a face the same
            whichever others are restored with it.
        graphs: Of the calls of RM and the prior on a CUDA device; used for fixed batches of networks that are
            `recordable`. None for plain calls.
    """

    config: StageConfig
    restoration: FaceModel
    sampler: Sampler | None
    settings: RestorationSettings
    device: torch.device
    dtype: torch.dtype = torch.float32
    fixed_batches: bool = False
    graphs: CudaGraphs | None = None

    def __post_init__(self) -> None:
        # Checked at construction, not after a whole film has been analysed.
        if self.sampler and self.settings.guidance_map == "trained" and self.sampler.adjuster is None:
            raise ModelError(
                f"the stage of {self.resolution} pixels has no trained guidance map; set restoration.guidance_map to "
                "sobel or none, or train one with scripts/train.py adjuster"
            )

    @property
    def resolution(self) -> int:
        """R, side of the crops in pixels."""
        return self.config.resolution

    @property
    def window_radius(self) -> int:
        """How many neighbouring crops on either side RM reads; 0 for an RM of single crops."""
        if not self.restoration.reads_windows:
            return 0
        wanted = self.settings.window_radius
        return self.config.window_radius if wanted is None else wanted

    @property
    def window_distances(self) -> Sequence[int]:
        """Distances in frames, on each side, of the crops that RM reads beside a face's own."""
        return range(1, self.window_radius + 1)

    @property
    def averaging_distances(self) -> Sequence[int]:
        """Distances in frames, on each side, of the faces averaged with a face: powers of 2, so that twice the reach
        costs one neighbour more on each side."""
        if self.settings.temporal_weight <= 0:
            return ()
        wanted, own = self.settings.temporal_radius, self.config.temporal_radius
        radius = own if wanted is None else min(wanted, own)
        return [1 << power for power in range(radius.bit_length())]

    @property
    def temporal_radius(self) -> int:
        """How many frames on either side averages reach: the largest power of 2 up to what is asked for."""
        return max(self.averaging_distances, default=0)

    def networks(self) -> list[torch.nn.Module]:
        """The networks of this stage that are torch modules."""
        sampler = self.sampler
        parts = [self.restoration, *((sampler.blur_estimator, sampler.prior, sampler.adjuster) if sampler else ())]
        return [part for part in parts if isinstance(part, torch.nn.Module)]

    def with_settings(self, settings: RestorationSettings) -> Stage:
        """The same networks under other settings."""
        return replace(self, settings=settings)

    @torch.no_grad()
    def regress(self, crops: Tensor, coarse: Tensor | None = None, windows: Sequence[Tensor] = ()) -> Estimates:
        """RM alone.

        Args:
            crops: (B, 3, R, R) in [0, 1].
            coarse: The coarser stage's faces, enlarged to R; ignored where RM does not read them.
            windows: For each crop its neighbours warped onto it, (K, 3, R, R) with K of any size; empty for single
                crops.

        Raises:
            InputError: The crops have another shape.
        """
        self._check(crops)
        if len(crops) == 0:
            return Estimates(crops, crops)
        neighbours, valid = self._stack_windows(windows, len(crops))
        if not self.restoration.reads_coarse:
            coarse = None
        parts = []
        for first in range(0, len(crops), self.settings.batch_size):
            rows, kept = self._batch(first, len(crops))
            with self.autocast():
                regression = self._regressed(
                    2 * crops[rows] - 1,
                    None if coarse is None else 2 * coarse[rows] - 1,
                    None if neighbours is None else neighbours[rows],
                    None if valid is None else valid[rows],
                )
            seen, made = regression.evidence[:kept].float(), regression.estimate[:kept].float()
            parts.append(((seen + 1) / 2, (made.clamp(-1, 1) + 1) / 2))
        evidence, estimate = zip(*parts, strict=True)
        return Estimates(torch.cat(evidence), torch.cat(estimate))

    def self_ensemble(
        self, estimates: Estimates, crops: Tensor, coarse: Tensor | None = None, windows: Sequence[Tensor] = ()
    ) -> Tensor:
        """The mean of estimates and of what RM makes of the mirrored crops, mirrored back: a self-ensemble (Timofte et
        al. 2016, "Seven ways to improve example-based single image super resolution"). Their random errors differ, so
        that the mean has less of them.

        Read blur levels off `estimates`, not off the mean: SE was trained on single estimates.

        Args:
            estimates: What `regress` made of the other arguments.
            crops: As of `regress`.
            coarse: As of `regress`.
            windows: As of `regress`.

        Returns:
            (B, 3, R, R) in [0, 1]; the estimates themselves unless `StageConfig.self_ensemble` and the settings want
            the mean.
        """
        if not (self.config.self_ensemble and self.settings.self_ensemble):
            return estimates.estimate
        mirrored = self.regress(
            crops.flip(-1), None if coarse is None else coarse.flip(-1), [window.flip(-1) for window in windows]
        )
        return (estimates.estimate + mirrored.estimate.flip(-1)) / 2

    @torch.no_grad()
    def estimate_levels(self, estimates: Estimates) -> tuple[Tensor, Tensor]:
        """Read blur levels off estimates.

        Args:
            estimates: Of B crops, from `regress`.

        Returns:
            SE's relative blur levels, (B,), and confidences in (0, 1], (B,).

        Raises:
            ModelError: The stage has no blur estimator.
        """
        if self.sampler is None:
            raise ModelError(f"the stage of {self.resolution} pixels has no blur estimator")
        levels, confidences = [], []
        size = self.settings.batch_size
        for evidence, estimate in zip(estimates.evidence.split(size), estimates.estimate.split(size), strict=True):
            with self.autocast():
                level, confidence = self.sampler.blur_estimator.estimate_level(2 * evidence - 1, 2 * estimate - 1)
            levels.append(level.float())
            confidences.append(confidence.float())
        return torch.cat(levels), torch.cat(confidences)

    def effective_blur_levels(self, levels: np.ndarray, strength: Strength | None = None) -> np.ndarray:
        """The relative levels that the sampler works with: SE's under a strength, by default the settings'."""
        strength = self.settings.strength if strength is None else strength
        return np.asarray((np.asarray(levels, np.float64) + self.config.finest_level) * (2 * strength))

    def starting_steps(self, levels: np.ndarray) -> np.ndarray:
        """DSST: the starting step for each of SE's levels, (B,) int64; 0 leaves RM's estimate unchanged."""
        steps = self.table_steps(levels)
        return np.where(steps < self.config.least_starting_step, 0, steps)

    def table_steps(self, levels: np.ndarray, strength: Strength | None = None) -> np.ndarray:
        """As `starting_steps`, but also below `least_starting_step`, and at a strength of its own."""
        if self.sampler is None:
            return np.zeros(np.shape(levels), np.int64)
        table = self.sampler.starting_steps
        return np.minimum(
            table.lookup(self.effective_blur_levels(levels, strength)), table.schedule.num_train_timesteps - 1
        )

    def guides(self, blur_level: float, starting_step: int) -> tuple[Guide, ...]:
        """The guides of a face: s, s - d, s - 2d, ..., each active from its own step of the table (docs/method.md 4).

        Args:
            blur_level: s, relative, as the sampler uses it; d is `guide_spacing` pixels at 512. A guide that would be
                sharper than RM's estimate itself is never active.
            starting_step: The step at which the blurriest guide begins.
        """
        assert self.sampler is not None
        spacing = relative_level(self.settings.guide_spacing, PAPER_RESOLUTION)
        levels = [blur_level - i * spacing for i in range(self.settings.guide_count)]
        own = self.sampler.starting_steps.lookup(np.maximum(levels, 0.0))
        starts = [starting_step, *(int(step) for step in own[1:])]
        return tuple(Guide(max(level, 0.0), start) for level, start in zip(levels, starts, strict=True))

    @torch.no_grad()
    def sample(
        self,
        estimates: Tensor,
        levels: np.ndarray,
        starting_steps: np.ndarray,
        noise_keys: Sequence[NoiseKey],
        *,
        strengths: np.ndarray | None = None,
        on_step: Callable[[GuidedStep], None] | None = None,
    ) -> SampledFaces:
        """Draw what RM's estimates lack.

        Args:
            estimates: (B, 3, R, R) in [0, 1].
            levels: SE's levels, (B,).
            starting_steps: As of `starting_steps`, (B,).
            noise_keys: Of each face.
            strengths: Of each face, (B,) in [0, 1]; None for the settings'.
            on_step: Called after every network evaluation of the closed form; faces are numbered by their position.
        """
        if self.sampler is None or len(estimates) == 0:
            return SampledFaces(estimates, 0)
        sampler = self.face_sampler(on_step)
        numbers = sampler.add(estimates, levels, starting_steps, noise_keys, strengths)
        return SampledFaces(torch.stack(sampler.take(numbers)), sampler.evaluations)

    def face_sampler(self, on_step: Callable[[GuidedStep], None] | None = None) -> FaceSampler:
        """What draws faces of this stage that are given one after the other; on_step: as of `sample`."""
        return FaceSampler(self, on_step)

    def sampling_options(self) -> SamplingOptions:
        """How this stage samples: its own options where the settings leave them open."""
        settings, config = self.settings, self.config
        steps = config.num_inference_steps if settings.num_inference_steps is None else settings.num_inference_steps
        return SamplingOptions(
            num_inference_steps=steps,
            reference_step=config.reference_step,
            last_step=config.last_step,
            trust=config.trust if settings.trust is None else settings.trust,
            eta_scale=settings.eta_scale,
            temperature=config.temperature if settings.temperature is None else settings.temperature,
            guidance=settings.guidance,
            guidance_scale=settings.guidance_scale,
            level_rate=settings.level_rate,
            slots=settings.batch_size,
            fixed_slots=self.fixed_batches,
        )

    def _batch(self, first: int, count: int) -> tuple[Tensor, int]:
        """The rows of a batch that begins at `first` of `count` faces, and how many of its results are wanted."""
        size = self.settings.batch_size
        kept = min(size, count - first)
        rows = torch.arange(first, first + (size if self.fixed_batches else kept), device=self.device)
        return rows.clamp(max=count - 1), kept

    def _regressed(
        self, degraded: Tensor, coarse: Tensor | None, neighbours: Tensor | None, valid: Tensor | None
    ) -> Regression:
        """What RM makes of a batch; see `FaceModel.regress`."""
        graphs = self._graphs_of(self.restoration)
        if graphs is None:
            return self.restoration.regress(degraded, coarse, neighbours, valid)

        def parts(*inputs: Any) -> tuple[Tensor, ...]:
            regression = self.restoration.regress(*inputs)
            return regression.evidence, regression.estimate

        return Regression(*graphs.call(self.restoration, parts, degraded, coarse, neighbours, valid))

    def denoiser(self) -> Denoiser:
        """The prior as the sampler calls it: recorded as CUDA graphs where that is wanted."""
        assert self.sampler is not None
        prior = self.sampler.prior
        graphs = self._graphs_of(prior)
        return prior if graphs is None else RecordedDenoiser(prior, graphs)

    def _graphs_of(self, network: object) -> CudaGraphs | None:
        return self.graphs if self.fixed_batches and getattr(network, "recordable", False) else None

    def guidance_map(self) -> GuidanceMap | None:
        """What scales the guides' correction at each pixel by the settings; None for nothing."""
        if self.settings.guidance_map == "trained":
            return self.sampler.adjuster if self.sampler else None
        return sobel_guidance_map if self.settings.guidance_map == "sobel" else None

    def _stack_windows(self, windows: Sequence[Tensor], count: int) -> tuple[Tensor | None, Tensor | None]:
        """The windows padded to the longest, (B, K, 3, R, R) in [-1, 1], and 0 for padding, else 1, (B, K)."""
        most = max(map(len, windows), default=0)
        if most == 0 or not self.restoration.reads_windows:
            return None, None
        neighbours = torch.zeros(count, most, 3, self.resolution, self.resolution, device=self.device)
        valid = torch.zeros(count, most, device=self.device)
        for row, window in enumerate(windows):
            neighbours[row, : len(window)] = window
            valid[row, : len(window)] = 1
        return 2 * neighbours - 1, valid

    def _check(self, crops: Tensor) -> None:
        wanted = (3, self.resolution, self.resolution)
        if crops.ndim != 4 or tuple(crops.shape[1:]) != wanted:
            expected = f"(B, 3, {self.resolution}, {self.resolution})"
            raise InputError(f"crops have shape {tuple(crops.shape)}; this stage takes {expected}")

    def autocast(self) -> AbstractContextManager[None]:
        """Inside the block, networks compute in the stage's `dtype`."""
        lower: AbstractContextManager[None] = torch.autocast(
            self.device.type, self.dtype, enabled=self.dtype != torch.float32
        )
        return lower


def source_detail_weight(level: float, resolution: int) -> float:
    """Share of the source's detail above a stage's resolution that is signal, in [0, 1].

    A face that is sharp at the last stage's resolution may be sharp beyond it; a blurred one has only noise there.

    Args:
        level: Relative blur level of the face.
        resolution: Of the last stage that it went through.
    """
    low, high = SHARP_PIXELS
    return float(np.clip((high - level_in_pixels(level, resolution)) / (high - low), 0, 1))
