"""FaceRestorer: aligned crops in, restored crops out, by the whole method (DBLM, DSST, guided sampling)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynface_video.config import RestorationSettings, Settings, changed_restoration, load_settings
from dynface_video.device import resolve_device
from dynface_video.diffusion.cascade import Cascade, enlarged, load_cascade, octave_missing
from dynface_video.diffusion.engine import FaceJob, GuidedStep, SamplingEngine, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.errors import InputError, ModelError
from dynface_video.faces.align import doubled
from dynface_video.faces.colour import LUMINANCE
from dynface_video.models.adjuster import GuidanceAdjuster, GuidanceMap, load_adjuster, sobel_guidance_map
from dynface_video.models.blur_level import BlurLevelEstimator, level_from_z, load_level_estimator
from dynface_video.models.prior import GuidedPrior, load_prior
from dynface_video.models.registry import model_folder
from dynface_video.models.restoration import RestorationModel, load_restoration_model

FINEST_DETAIL_LOST = (0.5, 1.5)
FINEST_LEVEL = 0.25
LARGE_FACE = (1.0, 1.5)
"""Frame pixels for one of the crop's from which on a face is drawn by the second stage too, and wholly so."""
RANGE_SLACK = 0.1
RM_BATCH = 16


@dataclass(frozen=True)
class RestoredFaces:
    """images: (B, R, R, 3) float32 in [0, 1]; unet_evaluations: network evaluations of the prior spent on them."""

    images: np.ndarray
    unet_evaluations: int


@dataclass(frozen=True)
class FaceRestorer:
    """The models of a preset and the settings that they are used with; see `from_preset` and `with_settings`.

    `settings.strength`: 0 is RM's own estimate, the closest to the input; 1 trusts RM only at twice the measured blur
    level and lets the prior invent the rest. The blur levels handed to `starting_step`, `source_detail_weight` and
    `restore` are
    those of `estimate`: strength is applied inside.
    """

    restoration_model: RestorationModel
    level_estimator: BlurLevelEstimator
    prior: GuidedPrior
    starting_steps: StartingStepTable
    adjuster: GuidanceAdjuster | None
    cascade: Cascade | None
    settings: RestorationSettings
    device: torch.device

    def __post_init__(self) -> None:
        # Said here, or a film would be analysed to its end before its first face finds out.
        if self.settings.guidance_map == "trained" and self.adjuster is None:
            raise ModelError(
                "this preset has no trained guidance map; set restoration.guidance_map to sobel or none, "
                "or train one with scripts/train.py adjuster"
            )

    @classmethod
    def from_preset(cls, preset: str = "mini", *, device: str = "auto", **overrides: Any) -> FaceRestorer:
        """Load the models of a preset.

        device: "auto", "cpu", "cuda" or "cuda:1"; overrides: strength, steps, as on the command line
        Raises InputError for an unknown preset or an unusable value, ModelError when weights are missing, among them
        those of a trained guidance map that is asked for.
        """
        return cls.from_settings(load_settings(preset, None, {"device": device, **overrides}))

    @classmethod
    def from_settings(cls, settings: Settings) -> FaceRestorer:
        """Load the models that the settings name onto the device that they name."""
        folder, device = model_folder(settings.models), resolve_device(settings.execution.device)
        prior = load_prior(folder / "prior", device=device)
        table = StartingStepTable.load(folder / "starting_steps.json")
        table.check_fits(prior.resolution, prior.schedule)
        adjuster = folder / "adjuster"
        return cls(
            restoration_model=load_restoration_model(folder / "restoration", device=device),
            level_estimator=load_level_estimator(folder / "blur_level", device=device),
            prior=prior,
            starting_steps=table,
            adjuster=load_adjuster(adjuster, device=device) if adjuster.is_dir() else None,
            cascade=load_cascade(folder, device=device),
            settings=settings.restoration,
            device=device,
        )

    @property
    def resolution(self) -> int:
        """Side of the crops, pixels."""
        return self.prior.resolution

    @property
    def strength(self) -> float:
        """How much may be invented, in [0, 1]."""
        return self.settings.strength

    def with_settings(self, **changes: Any) -> FaceRestorer:
        """The same models under other settings, by the names of `RestorationSettings`.

        Raises InputError for a name or a value that is none, ModelError for a trained guidance map without weights.
        """
        return replace(self, settings=changed_restoration(self.settings, changes))

    @property
    def has_cascade(self) -> bool:
        """Whether large faces are drawn by a second stage."""
        return self.cascade is not None and self.settings.cascade

    @property
    def window_radius(self) -> int:
        """How many neighbouring crops on either side RM reads; 0 where the preset's RM reads single crops."""
        return 0 if self.restoration_model.fusion is None else self.settings.window_radius

    @torch.inference_mode()
    def restoration(self, crops: np.ndarray, windows: Sequence[np.ndarray] = ()) -> np.ndarray:
        """RM alone: (B, R, R, 3) float32 in [0, 1] to the same.

        windows: for each crop its neighbours, warped onto it, (K, R, R, 3) with K of any size; none for single crops
        """
        return _to_images(self._read(self._to_tensor(crops), windows)[1])

    @torch.inference_mode()
    def estimate(self, crops: np.ndarray, windows: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Raw blur level of each crop in pixels at R, and a confidence in (0, 1]; arguments as of `restoration`.

        The level belongs to what RM makes of the crop *and* its window: SE sees what RM starts from.
        """
        starts, estimates = self._read(self._to_tensor(crops), windows)
        levels, confidences = [], []
        for part, estimate in zip(starts.split(RM_BATCH), estimates.split(RM_BATCH), strict=True):
            mean, log_deviation = self.level_estimator(part, estimate)
            levels.append(level_from_z(mean))
            confidences.append(1 / (1 + log_deviation.exp()))
        return torch.cat(levels).cpu().numpy(), torch.cat(confidences).cpu().numpy()

    def effective_blur_levels(self, levels: np.ndarray) -> np.ndarray:
        """The levels the sampler works with: those of `estimate` under this strength.

        `FINEST_LEVEL` is added first: where RM's error is small enough to be trusted everywhere, its finest octave is
        still smoother than a face.
        """
        return (np.asarray(levels, np.float64) + FINEST_LEVEL) * (2 * self.settings.strength)

    def starting_step(self, levels: np.ndarray) -> np.ndarray:
        """DSST: the starting step for each level, (B,) int64; 0 leaves RM's estimate as it is."""
        last = self.starting_steps.schedule.num_train_timesteps - 1
        return np.minimum(self.starting_steps.lookup(self.effective_blur_levels(levels)), last)

    def guides(self, blur_level: float, starting_step: int) -> tuple[Guide, ...]:
        """The guides of a face: s, s - d, s - 2d, ... pixels, each active from its own step of the table (METHOD.md 4).

        blur_level: s, as used by the sampler. d is `guide_spacing` pixels at 512. A guide that would be sharper than
        RM's estimate itself is never active.
        """
        spacing = self.settings.guide_spacing * self.resolution / 512
        levels = [blur_level - i * spacing for i in range(self.settings.guide_count)]
        own = self.starting_steps.lookup(np.maximum(levels, 0.0))
        starts = [starting_step, *(int(step) for step in own[1:])]
        return tuple(Guide(max(level, 0.0), start) for level, start in zip(levels, starts, strict=True))

    def source_detail_weight(self, levels: np.ndarray) -> np.ndarray:
        """Share of the source's detail above the crop's resolution that is real at these levels, (B,) in [0, 1].

        A face that is sharp at the crop's resolution may well be sharp beyond it; a blurred one has only noise there.
        """
        low, high = FINEST_DETAIL_LOST
        return np.clip((high - np.asarray(levels, np.float64)) / (high - low), 0, 1)

    def max_detail_weight(self, scale: float) -> float:
        """The `detail_weight` of faces of a size, in [0, 1], that have no detail above the crop's resolution
        themselves.

        scale: crop pixels for one frame pixel. It is 0 for faces that the crop holds whole.
        """
        if not self.has_cascade:
            return 0.0
        low, high = LARGE_FACE
        return float(np.clip((1 / scale - low) / (high - low), 0, 1)) * min(1.0, 2 * self.settings.strength)

    def detail_weight(self, level: float, scale: float, source: np.ndarray) -> float:
        """How much of its `detail` a face gets, in [0, 1]: as far as the source has none itself, or noise in its place.

        level: that of `estimate`; scale: crop pixels for one frame pixel; source: its crop of (2 R, 2 R, 3)
        """
        lost = 1 - float(self.source_detail_weight(np.array([level]))[0])
        return self.max_detail_weight(scale) * max(lost, octave_missing(source, scale))

    @torch.no_grad()
    def detail(self, faces: np.ndarray, noise_keys: Sequence[NoiseKey]) -> tuple[np.ndarray, int]:
        """What the second stage draws into restored faces, (B, R, R, 3) float32 in [0, 1], above their resolution.

        Gives (B, 2 R, 2 R, 3), to be added to the faces at twice their resolution (`align.doubled`), and the network
        evaluations that were spent. Raises ModelError when the preset has no second stage.
        """
        if self.cascade is None:
            raise ModelError("this preset has no second stage: there is no fine_prior among its models")
        if len(faces) == 0:
            return np.zeros((0, 2 * self.resolution, 2 * self.resolution, 3), np.float32), 0
        estimates = enlarged(self._to_tensor(faces))
        drawn, evaluations = self.cascade.draw(estimates, noise_keys, batch_size=self.settings.batch_size)
        pairs = zip(drawn, estimates, strict=True)
        detailed = _to_images(torch.stack([with_chroma_of(face, estimate) for face, estimate in pairs]))
        return detailed - np.stack([doubled(face) for face in faces]), evaluations

    @torch.no_grad()
    def restore(
        self,
        crops: np.ndarray,
        levels: np.ndarray,
        starting_steps: np.ndarray,
        noise_keys: Sequence[NoiseKey],
        *,
        on_step: Callable[[GuidedStep], None] | None = None,
    ) -> RestoredFaces:
        """Restore degraded crops, (B, R, R, 3) float32 in [0, 1], each with its level, starting step and noise.

        on_step is shown every network evaluation of the closed form with its guidance map (other guidance uses none);
        faces are numbered by their place in `crops`.
        """
        return self.sample(self.restoration(crops), levels, starting_steps, noise_keys, on_step=on_step)

    @torch.no_grad()
    def sample(
        self,
        estimates: np.ndarray,
        levels: np.ndarray,
        starting_steps: np.ndarray,
        noise_keys: Sequence[NoiseKey],
        *,
        on_step: Callable[[GuidedStep], None] | None = None,
    ) -> RestoredFaces:
        """Restore from RM's estimates, as `restoration` gives them; else as `restore`."""
        if len(estimates) == 0:
            return RestoredFaces(np.zeros((0, self.resolution, self.resolution, 3), np.float32), 0)
        engine = SamplingEngine(
            self.prior,
            _sampling_options(self.settings),
            self.device,
            guidance_map=self._guidance_map(),
            on_step=on_step,
        )
        soft = self._to_tensor(estimates)
        used = self.effective_blur_levels(levels)
        jobs = (
            FaceJob(i, soft[i], self.guides(float(used[i]), int(step)), int(step), noise_keys[i])
            for i, step in enumerate(starting_steps)
        )
        faces = torch.empty_like(soft)
        for number, face in engine.run(jobs):
            faces[number] = with_chroma_of(face, soft[number])
        return RestoredFaces(_to_images(faces), engine.evaluations)

    def __call__(self, crops: Tensor, *, seed: int = 0) -> Tensor:
        """Restore aligned crops: (B, 3, R, R) float in [0, 1] to the same; each face has the noise of its number."""
        if crops.ndim != 4 or crops.shape[1:] != (3, self.resolution, self.resolution):
            expected = f"(B, 3, {self.resolution}, {self.resolution})"
            raise InputError(f"crops have shape {tuple(crops.shape)}, this restorer takes {expected}")
        if not crops.is_floating_point():
            raise InputError(f"crops are {crops.dtype}, not floats in [0, 1]; divide 8-bit crops by 255")
        if len(crops) == 0:
            return crops.clone()
        if not bool(((crops >= -RANGE_SLACK) & (crops <= 1 + RANGE_SLACK)).all()):
            raise InputError("crops have values outside [0, 1] or that are no numbers; divide 8-bit crops by 255")
        images = crops.detach().float().cpu().permute(0, 2, 3, 1).numpy()
        levels, _ = self.estimate(images)
        keys = [NoiseKey(seed, i) for i in range(len(images))]
        restored = self.restore(images, levels, self.starting_step(levels), keys).images
        return torch.from_numpy(restored).permute(0, 3, 1, 2).to(crops)

    def _guidance_map(self) -> GuidanceMap | None:
        if self.settings.guidance_map == "trained":
            return self.adjuster
        return sobel_guidance_map if self.settings.guidance_map == "sobel" else None

    def _read(self, degraded: Tensor, windows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """What RM starts from, and its estimates, (B, 3, R, R) in [-1, 1] both."""
        if len(degraded) == 0:
            return degraded, degraded
        neighbours, valid = self._neighbours(windows, len(degraded))
        parts = zip(degraded.split(RM_BATCH), neighbours.split(RM_BATCH), valid.split(RM_BATCH), strict=True)
        read = [self.restoration_model.read(crops, None, *window) for crops, *window in parts]
        starts, estimates = zip(*read, strict=True)
        return torch.cat(starts), torch.cat(estimates).float().clamp(-1, 1)

    def _neighbours(self, windows: Sequence[np.ndarray], count: int) -> tuple[Tensor, Tensor]:
        """The windows side by side, (B, K, 3, R, R) in [-1, 1], and which of them are there, (B, K)."""
        most, size = max(map(len, windows), default=0), self.resolution
        neighbours, valid = np.zeros((count, most, size, size, 3), np.float32), np.zeros((count, most), np.float32)
        for row, window in enumerate(windows):
            neighbours[row, : len(window)] = window
            valid[row, : len(window)] = 1
        return torch.from_numpy(neighbours).movedim(-1, 2).to(self.device) * 2 - 1, torch.from_numpy(valid).to(
            self.device
        )

    def _to_tensor(self, crops: np.ndarray) -> Tensor:
        if crops.ndim != 4 or crops.shape[1:] != (self.resolution, self.resolution, 3):
            expected = f"(B, {self.resolution}, {self.resolution}, 3)"
            raise InputError(f"crops have shape {crops.shape}, this restorer takes {expected}")
        return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).to(self.device) * 2 - 1


def with_chroma_of(face: Tensor, estimate: Tensor) -> Tensor:
    """The sampled face's luminance with RM's colour differences; (3, R, R) RGB each.

    Detail is seen in the luminance, and film and codecs hardly carry any in the colour: what a prior invents there is
    coloured noise. (On held-out faces it costs 0.4 dB PSNR and adds nothing to the eye.)
    """
    weights = torch.from_numpy(LUMINANCE).to(face.device)[:, None, None]
    return estimate + ((face - estimate) * weights).sum(dim=0)


def _sampling_options(settings: RestorationSettings) -> SamplingOptions:
    return SamplingOptions(
        evaluations=settings.num_inference_steps,
        trust=settings.trust,
        eta_scale=settings.eta_scale,
        temperature=settings.temperature,
        guidance=settings.guidance,
        guidance_scale=settings.guidance_scale,
        level_rate=settings.level_rate,
        slots=settings.batch_size,
    )


def _to_images(faces: Tensor) -> np.ndarray:
    images: np.ndarray = ((faces.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).cpu().numpy()
    return images
