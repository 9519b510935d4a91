"""From the settings to the stages: which networks they name, where those are, and loading them.

A model set is a folder with a `model_index.json`. A network of it is a subfolder, or, by `{"model": NAME}`, a file of
the registry. A restorer and a prior that the settings name take the place of the set's own.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from dynface_video.config import RestorationSettings, Settings
from dynface_video.deferred import Deferred
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.errors import InputError, ModelError
from dynface_video.media.io.files import known_sha256_of
from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.damage_detector import DamageDetector
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.protocols import Denoiser
from dynface_video.models.registry import damage_folder, model_folder, resolve
from dynface_video.models.restoration import RestorationModel
from dynface_video.models.restorer import RESOLUTION, check_restorer, load_restorer
from dynface_video.pretrained import check_folder, load_pretrained
from dynface_video.stage import NetworkName, Sampler, Stage, StageConfig

INDEX = "model_index.json"
SMALLEST_CROP_SCALE, LARGEST_CROP_SCALE = 0.8, 1.5
RESTORER_RADIUS = 4
"""How far the averages of a restorer's own faces reach, as in `mini` at 512 pixels."""


@dataclass(frozen=True)
class ModelFiles:
    """The stages that the settings ask for, and where their networks are.

    Attributes:
        folder: Of the model set.
        configs: Of the stages, coarse to fine.
        restorer: Checkpoint of the restorer that is the RM of every stage; None for the set's own.
        prior: Folder or checkpoint of the prior of every stage with a sampler; None for the set's own.
        located: Files of the registry that are used, by name.
        crop_scale: Side of a face's crop in sides of the square of the FFHQ template; see `faces.align`.
    """

    folder: Path
    configs: tuple[StageConfig, ...]
    restorer: Path | None = None
    prior: Path | None = None
    located: tuple[tuple[str, Path], ...] = ()
    crop_scale: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files of the registry that are used."""
        return tuple(name for name, _ in self.located)

    def digest(self) -> str:
        """SHA-256 of the names and contents of all files that are read, but for those of the registry.

        Of the latter the digests are known.
        """
        digest, known = hashlib.sha256(), {path for _, path in self.located}
        given = [path for path in (self.restorer, self.prior) if path is not None and path not in known]
        for root in (self.folder, *given):
            files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
            for path in files:
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(bytes.fromhex(known_sha256_of(path)))
        return digest.hexdigest()


def find_models(settings: Settings) -> ModelFiles:
    """Find what the settings name; nothing is loaded.

    Args:
        settings: All of them.

    Raises:
        InputError: A file that they name does not exist, or cannot be used with the model set.
        ModelError: Weights are missing.
    """
    chosen, folder = settings.restoration, model_folder(settings.models)
    configs = stage_configs(folder)
    restorer = None if chosen.restorer is None else _located(chosen.restorer, "restorer")
    if restorer is not None:
        configs = [_with_restorer(configs, chosen.method, settings.models)]
    if chosen.method == "restorer":
        configs = [_without_sampler(config) for config in configs]
    elif chosen.method == "guided" and not any(config.prior for config in configs):
        raise InputError(f"the models {settings.models} have no prior; use method restorer")
    guided = any(config.prior for config in configs)
    if chosen.prior is not None and not guided:
        raise InputError("a prior needs a stage that samples: use it with --preset ffhq512")
    prior = None if chosen.prior is None else _located(chosen.prior, "prior")
    names = [config.restoration for config in configs if restorer is None]
    names += [config.prior for config in configs if config.prior and prior is None]
    # Before a job begins, and so before anything is written.
    for path, check in ((restorer, check_restorer), (prior, _check_prior)):
        if path is not None:
            _checked(path, check, path.stat().st_mtime_ns)
    own = dict.fromkeys(name["model"] for name in names if isinstance(name, dict) and "model" in name)
    located = {name: resolve(name) for name in own}
    given = ((chosen.restorer, restorer), (chosen.prior, prior))
    located |= {name: path for name, path in given if name is not None and path is not None and str(path) != name}
    # Public restorers know the template's crop alone, and an aligned picture is one.
    exact = restorer is not None or settings.detection.aligned
    scale = 1.0 if exact else crop_scale(folder)
    return ModelFiles(folder, tuple(configs), restorer, prior, tuple(located.items()), scale)


def load_stages(
    files: ModelFiles, settings: RestorationSettings, device: torch.device, dtype: torch.dtype
) -> tuple[Stage, ...]:
    """The stages, coarse to fine; raises ModelError for a part that is missing or does not fit.

    A network that several stages name is loaded once.
    """
    networks = _Networks(files, device)
    restorer = None
    if files.restorer is not None:
        restorer = load_restorer(files.restorer, fidelity=settings.fidelity, device=device)
    prior = None if files.prior is None else _load_prior(files.prior, device)
    stages: list[Stage] = []
    for config in files.configs:
        restoration = restorer or networks.load(config.restoration, RestorationModel)
        if restoration.reads_coarse and not stages:
            raise ModelError(f"{files.folder / INDEX}: the first stage's restoration model needs a coarser stage")
        sampler = None
        if config.prior and config.blur_estimator and config.starting_steps:
            table = StartingStepTable.load(files.folder / config.starting_steps)
            own_prior = networks.prior(config.prior, table) if prior is None else prior
            if prior is not None:
                table.check_fits(prior.resolution, prior.schedule)
            adjuster = networks.load(config.adjuster, GuidanceAdjuster) if config.adjuster else None
            sampler = Sampler(networks.load(config.blur_estimator, BlurLevelEstimator), own_prior, table, adjuster)
        stages.append(Stage(config, restoration, sampler, settings, device, dtype))
    return tuple(stages)


def deferred_damage_detector(models: str, device: torch.device) -> Deferred[DamageDetector]:
    """The network that finds film damage, of a model set or the default's: loaded when damage is first looked for.

    Raises:
        ModelError: Its files are missing.
    """
    folder = damage_folder(models)
    check_folder(folder)
    return Deferred(lambda: load_pretrained(DamageDetector, folder, device=device))


def chosen_networks(settings: RestorationSettings) -> tuple[object, ...]:
    """What of the settings decides which networks are loaded, and how."""
    return settings.method, settings.restorer, settings.fidelity, settings.prior


def _with_restorer(configs: list[StageConfig], method: str, models: str) -> StageConfig:
    """The one stage that a restorer works in: the set's own of its resolution if that has a prior, or alone."""
    guided = next((config for config in configs if config.resolution == RESOLUTION and config.prior), None)
    if guided is not None:
        return replace(guided, self_ensemble=False)
    if method == "guided":
        raise InputError(
            f"the models {models} have no prior of {RESOLUTION} pixels for a restorer; use --preset ffhq512, or "
            "--method restorer for the restorer alone"
        )
    return StageConfig(RESOLUTION, "", window_radius=0, temporal_radius=RESTORER_RADIUS)


def _without_sampler(config: StageConfig) -> StageConfig:
    return replace(config, blur_estimator=None, prior=None, starting_steps=None, adjuster=None)


def _located(name: str, what: str) -> Path:
    """The path of a restorer or prior: a file, a converted folder, or a file of the registry by its name."""
    path = Path(name)
    if path.is_file() or (path / INDEX).is_file():
        return path
    if path.is_absolute() or path.suffix in {".pth", ".pt", ".ckpt", ".safetensors"} or "/" in name:
        raise InputError(f"{name}: no such {what}; name a checkpoint, or a model that `models list` shows")
    return resolve(name)


def _check_prior(path: Path) -> None:
    # Published priors are made of diffusers' layers, which take longer to import than torch.
    from dynface_video.models.conversion.folder import check_prior

    check_prior(path)


def _load_prior(path: Path, device: torch.device) -> Denoiser:
    from dynface_video.models.conversion.folder import load_prior

    return load_prior(path, device)


@lru_cache(maxsize=256)
def _checked(path: Path, check: Callable[[Path], None], changed: int) -> None:
    check(path)


def crop_scale(folder: Path) -> float:
    """Side of the crops of a model set in sides of the template's square; raises ModelError for an unusable one."""
    scale = _index(folder).get("crop_scale", 1.0)
    if not isinstance(scale, int | float) or not SMALLEST_CROP_SCALE <= scale <= LARGEST_CROP_SCALE:
        limits = f"{SMALLEST_CROP_SCALE:g} to {LARGEST_CROP_SCALE:g}"
        raise ModelError(f"{folder / INDEX}: crop_scale is {scale!r}; it must be a number from {limits}")
    return float(scale)


def _index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / INDEX}: cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise ModelError(f"{folder / INDEX}: not a description of a model set")
    return index


def stage_configs(folder: Path) -> list[StageConfig]:
    """The stages of a model set, coarse to fine; raises ModelError for any other folder."""
    described = _index(folder).get("stages")
    if not isinstance(described, list) or not all(isinstance(values, dict) for values in described):
        raise ModelError(f"{folder / INDEX}: `stages` is not a list of stages")
    configs = [StageConfig.from_dict(values) for values in described]
    if not configs or any(a.resolution >= b.resolution for a, b in pairwise(configs)):
        raise ModelError(f"{folder / INDEX}: the stages must go from coarse to fine")
    return configs


@dataclass(eq=False)
class _Networks:
    """Loads the networks of a model set, each once."""

    files: ModelFiles
    device: torch.device
    loaded: dict[str, Any] = field(default_factory=dict)
    deferred: dict[str, Deferred[Denoiser]] = field(default_factory=dict)

    def load(self, name: NetworkName, default: type[Any]) -> Any:
        """A network by its name in `model_index.json`; default: its class where the name has no class of its own."""
        key = json.dumps(name)
        if key not in self.loaded:
            self.loaded[key] = self._read(name, default)
        return self.loaded[key]

    def prior(self, name: NetworkName, table: StartingStepTable) -> Denoiser | Deferred[Denoiser]:
        """A prior of the set, which is loaded when it is needed: most of that time is diffusers' import.

        Args:
            name: As of `load`.
            table: Of its starting steps; raises ModelError if it is another prior's.
        """
        if not isinstance(name, str):
            loaded: Denoiser = self.load(name, GuidedPrior)
            table.check_fits(loaded.resolution, loaded.schedule)
            return loaded
        folder = self.files.folder / name
        described = check_folder(folder)
        try:
            resolution, schedule = described.resolution, NoiseSchedule(**(described.schedule or {}))
        except (AttributeError, TypeError) as error:
            raise ModelError(f"{folder}: not the configuration of a prior: {error}") from error
        table.check_fits(resolution, schedule)
        if name not in self.deferred:
            self.deferred[name] = Deferred(lambda: self.load(name, GuidedPrior))
        return self.deferred[name]

    def _read(self, name: NetworkName, default: type[Any]) -> Any:
        if isinstance(name, str):
            return load_pretrained(default, self.files.folder / name, device=self.device)
        if set(name) == {"class", "folder"}:
            return load_pretrained(_imported(name["class"]), self.files.folder / name["folder"], device=self.device)
        if set(name) == {"model"} and default in (RestorationModel, GuidedPrior):
            path = dict(self.files.located)[name["model"]]
            return _load_prior(path, self.device) if default is GuidedPrior else load_restorer(path, device=self.device)
        raise ModelError(
            f"{self.files.folder / INDEX}: a network is a folder, or has a class and a folder, or is a model of the "
            f"registry: {name}"
        )


def _imported(name: str) -> Any:
    """A class by its full name, `module.Class`."""
    module, _, class_name = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(f"the model class {name!r} cannot be imported: {error}; is its package installed?") from error
