"""FacePipeline: aligned face crops in, restored crops out, stage by stage (DBLM, DSST, guided sampling)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from dynface_video.config import (
    PipelineOverrides,
    RestorationChanges,
    RestorationSettings,
    Settings,
    changed_restoration,
    load_settings,
    preset_names,
)
from dynface_video.cuda_graphs import CudaGraphs
from dynface_video.deferred import Deferred
from dynface_video.device import resolve_device
from dynface_video.diffusion.engine import GuidedStep
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import InputError
from dynface_video.faces.align import align_transform, extract_crop, scaling
from dynface_video.faces.paste import paste_face
from dynface_video.images import Images, as_images, like_input
from dynface_video.models.damage_detector import DamageDetector
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.pretrained import to_device
from dynface_video.stage import SampledFaces, Stage
from dynface_video.stage_loading import chosen_networks, deferred_damage_detector, find_models, load_stages
from dynface_video.threads import network_threads

NEXT_STAGE = 1.1
"""A face goes on to the next stage if its crop covers more frame pixels than this multiple of the last stage's side."""
CPU_RESOLUTION = 256
"""Largest stage that `resolution: auto` uses on a CPU."""

StepCallback = Callable[["FacePipeline", int, Tensor, dict[str, Any]], None]
"""As in diffusers: (pipeline, evaluation counted from 0, timestep of each face (B,), {"denoised", "map", ...})."""


@dataclass(frozen=True, eq=False)
class FacePipeline:
    """The stages of a model folder and the settings that they are used with.

    Attributes:
        stages: Coarse to fine.
        settings: Of all stages.
        device: Of the networks and the crops.
        dtype: Of the networks' arithmetic; everything between them is float32.
        threads: CPU threads that a call uses.
        damage_detector: Finds film damage in single crops, loaded when it is first looked for; None leaves that to the
            frames around.
        crop_scale: Side of a face's crop in sides of the square of the FFHQ template. Above 1 a crop has more of hair
            and neck, at slightly less resolution.

    Example:
        >>> pipeline = FacePipeline.from_pretrained("mini")
        >>> restored = pipeline(crop, seed=1)
    """

    stages: tuple[Stage, ...]
    settings: RestorationSettings
    device: torch.device
    dtype: torch.dtype = torch.float32
    threads: int = 1
    damage_detector: Deferred[DamageDetector] | None = None
    crop_scale: float = 1.0

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path = "mini",
        *,
        torch_dtype: torch.dtype = torch.float32,
        device: str = "auto",
        **overrides: Unpack[PipelineOverrides],
    ) -> FacePipeline:
        """Load the models of a preset, or of a folder that has a `model_index.json`.

        Args:
            name_or_folder: A preset such as "mini", or a model folder, which is used with the default settings.
            torch_dtype: Of the networks' arithmetic.
            device: "auto", "cpu", "cuda", "cuda:1" or "mps".
            overrides: Settings by name, such as `strength=0.4`.

        Raises:
            InputError: An unknown preset, device or setting.
            ModelError: Weights are missing or do not fit.
        """
        name = str(name_or_folder)
        if name in preset_names():
            settings = load_settings(name, None, {"device": device, **overrides})
        else:
            settings = load_settings("mini", None, {"device": device, **overrides}).model_copy(update={"models": name})
        return cls.from_settings(settings, torch_dtype=torch_dtype)

    @classmethod
    def from_settings(cls, settings: Settings, *, torch_dtype: torch.dtype = torch.float32) -> FacePipeline:
        """Load the models that the settings name onto the device that they name; raises as `from_pretrained`."""
        device = resolve_device(settings.execution.device)
        files = find_models(settings)
        stages = load_stages(files, settings.restoration, device, torch_dtype)
        detector = deferred_damage_detector(settings.models, device)
        threads = settings.execution.threads
        return cls(stages, settings.restoration, device, torch_dtype, threads, detector, files.crop_scale)

    @property
    def resolution(self) -> int:
        """Side of the first stage's crops, pixels."""
        return self.stages[0].resolution

    def crop_transform(self, landmarks: np.ndarray, size: int) -> np.ndarray:
        """The similarity from a frame to a face's crop of `size` pixels, (2, 3); see `faces.align.align_transform`."""
        return align_transform(landmarks, size, scale=self.crop_scale)

    def to(self, device: torch.device | str) -> FacePipeline:
        """The same pipeline on another device."""
        target = resolve_device(str(device))
        for stage in self.stages:
            for network in stage.networks():
                to_device(network, target)
        recorded = any(stage.graphs is not None for stage in self.stages)
        stages = tuple(replace(stage, device=target, graphs=None) for stage in self.stages)
        detector = None if self.damage_detector is None else _moved(self.damage_detector, target)
        moved = replace(self, stages=stages, device=target, damage_detector=detector)
        return moved.with_cuda_graphs() if recorded else moved

    def preload(self) -> None:
        """Begin to load what is loaded only when a face is sampled, in a thread."""
        for stage in self.stages:
            if stage.sampler is not None:
                stage.sampler.preload()

    def with_settings(self, **changes: Unpack[RestorationChanges]) -> FacePipeline:
        """The same networks under other settings, by the names of `RestorationSettings`.

        Raises InputError for an unknown name or an unusable value or another choice of networks, ModelError for a
        trained guidance map without weights.
        """
        settings = changed_restoration(self.settings, changes)
        if chosen_networks(settings) != chosen_networks(self.settings):
            raise InputError("another method, restorer, fidelity or prior needs another pipeline: load it with them")
        return replace(self, stages=tuple(stage.with_settings(settings) for stage in self.stages), settings=settings)

    def for_pictures(self) -> FacePipeline:
        """The same pipeline with what single pictures have the time for: a self-ensemble, unless that is turned off."""
        return self if self.settings.self_ensemble is not None else self.with_settings(self_ensemble=True)

    def with_fixed_batches(self) -> FacePipeline:
        """The same pipeline with batches of one size; see `Stage.fixed_batches`."""
        return replace(self, stages=tuple(replace(stage, fixed_batches=True) for stage in self.stages))

    def with_cuda_graphs(self) -> FacePipeline:
        """The same pipeline with the calls of its RMs and priors recorded as CUDA graphs, on a CUDA device and in
        batches of one size; see `cuda_graphs`. Their weights must not be moved by anything but `to`."""
        graphs = CudaGraphs() if self.device.type == "cuda" else None
        return replace(self, stages=tuple(replace(stage, graphs=graphs) for stage in self.stages))

    def stages_for(self, side: float) -> tuple[Stage, ...]:
        """The stages that a face goes through: up to the largest that its frame can hold and the settings allow.

        Args:
            side: Side of the face's crop, frame pixels.
        """
        largest = self.settings.largest_side
        if largest is None:
            largest = CPU_RESOLUTION if self.device.type == "cpu" else self.stages[-1].resolution
        count = 1
        while count < len(self.stages):
            enough = side > NEXT_STAGE * self.stages[count - 1].resolution
            if not enough or self.stages[count].resolution > largest:
                break
            count += 1
        return self.stages[:count]

    def restore_crops(
        self,
        stages: Sequence[Stage],
        crops: Sequence[Tensor],
        noise_keys: Sequence[NoiseKey],
        *,
        starting_step: int | None = None,
        on_step: Callable[[GuidedStep], None] | None = None,
    ) -> SampledFaces:
        """Restore B faces by some stages.

        Args:
            stages: Coarse to fine.
            crops: Of each stage (B, 3, R, R) in [0, 1].
            noise_keys: Of each face.
            starting_step: Of every face, instead of the table's.
            on_step: As of `Stage.sample`.

        Returns:
            The last stage's faces, and the network evaluations of all stages.
        """
        faces: Tensor | None = None
        evaluations = 0
        for stage, own in zip(stages, crops, strict=True):
            coarse = None if faces is None else enlarge_coarse(2 * faces - 1, stage.resolution) / 2 + 0.5
            estimates = stage.regress(own, coarse)
            faces = stage.self_ensemble(estimates, own, coarse)
            if stage.sampler is not None and len(own):
                levels = stage.estimate_levels(estimates)[0].double().cpu().numpy()
                steps = stage.starting_steps(levels)
                if starting_step is not None:
                    steps = np.full_like(steps, starting_step)
                sampled = stage.sample(faces, levels, steps, noise_keys, on_step=on_step)
                faces, evaluations = sampled.faces, evaluations + sampled.unet_evaluations
        if faces is None:
            raise ValueError("no stages were given")
        return SampledFaces(faces, evaluations)

    def __call__(
        self,
        images: Images,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        strength: float | None = None,
        num_inference_steps: int | None = None,
        callback_on_step_end: StepCallback | None = None,
    ) -> Images:
        """Restore aligned face crops of any size.

        Args:
            images: A square PIL image or NumPy array (S, S, 3), uint8 or float in [0, 1]; a list of these; or a float
                tensor (B, 3, S, S) in [0, 1]. Faces are aligned by the FFHQ template (`faces.align.template`).
            seed: Of the noise that detail is drawn from; each face has the noise of its position.
            generator: Draws the seed instead.
            strength: Instead of the settings', in [0, 1].
            num_inference_steps: Instead of the stages', at least 1.
            callback_on_step_end: Called after every network evaluation of the prior.

        Returns:
            The same kind as `images`, of the same sizes.

        Raises:
            InputError: An image is not square or not RGB, or has values outside [0, 1] or NaN.
        """
        changes: RestorationChanges = {}
        if strength is not None:
            changes["strength"] = strength
        if num_inference_steps is not None:
            changes["num_inference_steps"] = num_inference_steps
        pipeline = self.with_settings(**changes).for_pictures()
        if generator is not None:
            seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
        pictures = as_images(images)
        on_step = None if callback_on_step_end is None else _StepCounter(self, callback_on_step_end)
        with network_threads(self.threads):
            restored = [pipeline._restore(picture, NoiseKey(seed, i), on_step) for i, picture in enumerate(pictures)]
        result: Images = like_input(restored, images)
        return result

    def _restore(self, picture: np.ndarray, key: NoiseKey, on_step: Callable[[GuidedStep], None] | None) -> np.ndarray:
        """One aligned picture (S, S, 3) float32 in [0, 1]."""
        side = picture.shape[0]
        stages = self.stages_for(side)
        crops = [extract_crop(picture, scaling(side, stage.resolution), stage.resolution) for stage in stages]
        tensors = [to_tensor(np.clip(crop, 0, 1)[None], self.device) for crop in crops]
        face = to_array(self.restore_crops(stages, tensors, [key], on_step=on_step).faces)[0]
        size = stages[-1].resolution
        everywhere = np.ones((size, size), np.float32)
        transform = scaling(side, size)
        return paste_face(
            picture, np.clip(crops[-1], 0, 1), face, transform, mask=everywhere, source_detail_weight=0.0
        )[0]


@dataclass(eq=False)
class _StepCounter:
    """Translates `GuidedStep`s for a diffusers callback."""

    pipeline: FacePipeline
    callback: StepCallback
    count: int = 0

    def __call__(self, step: GuidedStep) -> None:
        seen = {name: getattr(step, name) for name in ("denoised", "target", "map", "guide", "blur_level", "numbers")}
        self.callback(self.pipeline, self.count, step.timestep, seen)
        self.count += 1


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Pictures (B, R, R, 3) in [0, 1] as a float32 tensor (B, 3, R, R) on a device."""
    return torch.from_numpy(np.ascontiguousarray(images, np.float32)).permute(0, 3, 1, 2).contiguous().to(device)


def to_array(images: Tensor) -> np.ndarray:
    """Inverse of `to_tensor`."""
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy())


def _moved(detector: Deferred[DamageDetector], device: torch.device) -> Deferred[DamageDetector]:
    return Deferred(lambda: to_device(detector.get(), device))
