"""The whole diagnosis: what there is, and the problems with what to do about each."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dynface_video.diagnosis.machine import Device, devices, has_unused_driver, optional_packages, versions
from dynface_video.errors import DynfaceError
from dynface_video.models.registry import DEFAULT, FileState, catalogue, home, licence_of, local_path, state
from dynface_video.models.registry.cache import fetch_command
from dynface_video.models.registry.licences import accepted
from dynface_video.models.registry.sources import MIRROR_VARIABLE, is_offline

LITTLE_MEMORY, LITTLE_DISK = 2e9, 2e9
CLUSTER_FILE = "ray_current_cluster"
"""In Ray's temporary folder, while a cluster is running on this machine."""


@dataclass(frozen=True)
class Problem:
    """Something that is in the way.

    Attributes:
        text: What is wrong.
        remedy: What to do.
        fatal: Whether nothing can be restored because of it.
    """

    text: str
    remedy: str
    fatal: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        versions: Of this package, Python and the libraries.
        optional: Of packages that are not always needed.
        devices: That networks can run on.
        encoders: Error message of each encoder; "" if it works.
        embedded: What is wrong with the embedded models; "" if they load.
        models: The catalogue: name, state, licence, whether it is accepted, and the command that fetches the file.
        storage: `home`, `free` bytes there, `mirror`, `offline`.
        ray: `version`, and the `cluster` that runs on this machine or that RAY_ADDRESS names.
        problems: With what to do.
    """

    versions: Mapping[str, str | None]
    optional: Mapping[str, str | None]
    devices: tuple[Device, ...]
    encoders: Mapping[str, str]
    embedded: Mapping[str, str]
    models: tuple[Mapping[str, Any], ...]
    storage: Mapping[str, Any]
    ray: Mapping[str, str | None]
    problems: tuple[Problem, ...]

    @property
    def usable(self) -> bool:
        """Whether something can be restored."""
        return not any(problem.fatal for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON data."""
        return asdict(self) | {"usable": self.usable}


def diagnose() -> Diagnosis:
    """Look at this machine; networks are loaded and pictures encoded, nothing is downloaded or changed."""
    problems = list[Problem]()
    found = _attempted(devices, "the libraries of the networks cannot be loaded", problems) or []
    encoders = _attempted(_encoders, "PyAV cannot be loaded", problems) or {}
    # Other model sets of the package need public networks, whose files the catalogue lists.
    embedded = {DEFAULT: _loading_fault(DEFAULT)}
    models, storage = _models(problems), _storage(problems)
    problems += [*_device_problems(found), *_encoder_problems(encoders), *_embedded_problems(embedded)]
    return Diagnosis(
        versions=versions(),
        optional=optional_packages(),
        devices=tuple(found),
        encoders=encoders,
        embedded=embedded,
        models=models,
        storage=storage,
        ray=_ray(),
        problems=tuple(problems),
    )


def _attempted(look: Callable[[], Any], trouble: str, problems: list[Problem]) -> Any:
    try:
        return look()
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        problems.append(Problem(f"{trouble}: {reason}", "reinstall it in a new virtual environment", fatal=True))
        return None


def _encoders() -> dict[str, str]:
    from dynface_video.diagnosis.encoders import working_encoders

    return working_encoders()


def _loading_fault(name: str) -> str:
    try:
        from dynface_video.config import load_settings
        from dynface_video.passes.networks import load_models

        models = load_models(load_settings(overrides={"device": "cpu"}).model_copy(update={"models": name}))
        for stage in models.pipeline.stages:
            # Also those that are loaded only when a face is sampled.
            stage.networks()
    except (DynfaceError, ImportError, OSError, RuntimeError) as error:
        return " ".join(str(error).split())
    return ""


def _models(problems: list[Problem]) -> tuple[dict[str, Any], ...]:
    try:
        files, agreed = list(catalogue().values()), accepted(home())
    except DynfaceError as error:
        problems.append(Problem(str(error), "mend or remove that file"))
        return ()
    rows = []
    for file in files:
        found, licence = state(file), licence_of(file.licence)
        if found is FileState.DAMAGED:
            remedy = f"`dynface-video models remove {file.name}`, then `{fetch_command(file)}`"
            problems.append(Problem(f"{file.name}: {local_path(file)} is damaged", remedy))
        rows.append(
            {
                "name": file.name,
                "state": found.value,
                "licence": licence.id,
                "accepted": licence.commercial_use or licence.id in agreed,
                "command": fetch_command(file),
            }
        )
    return tuple(rows)


def _storage(problems: list[Problem]) -> dict[str, Any]:
    folder = home()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        problems.append(Problem(f"{folder} cannot be written", "set DYNFACE_HOME to another folder"))
    if free < LITTLE_DISK:
        problems.append(Problem(f"only {free / 1e9:.1f} GB are free in {folder}", "set DYNFACE_HOME to a larger disk"))
    return {
        "home": str(folder),
        "free": free,
        "mirror": os.environ.get(MIRROR_VARIABLE),
        "offline": is_offline(),
    }


def _ray() -> dict[str, str | None]:
    folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"
    try:
        running = (folder / CLUSTER_FILE).read_text().strip() or None
    except OSError:
        running = None
    return {"version": versions()["ray"], "cluster": os.environ.get("RAY_ADDRESS") or running}


def _device_problems(found: list[Device]) -> list[Problem]:
    problems = list[Problem]()
    for device in found:
        if device.error:
            problems.append(Problem(f"{device.name}: {device.error}", "check the driver, or use --device cpu"))
        if device.free is not None and device.free < LITTLE_MEMORY:
            little = f"{device.name}: only {device.free / 1e9:.1f} GB of memory are free"
            problems.append(Problem(little, "end other programs, or restore with a smaller --resolution"))
    if has_unused_driver(found):
        remedy = "install torch's build for CUDA; in a container, give it the GPU (--gpus all)"
        problems.append(Problem("an NVIDIA driver is loaded, but torch sees no GPU", remedy))
    return problems


def _encoder_problems(encoders: Mapping[str, str]) -> list[Problem]:
    fault = encoders.get("libx264", "")
    return [Problem(f"the default encoder libx264 {fault}", "install PyAV's wheel: pip install av")] if fault else []


def _embedded_problems(embedded: Mapping[str, str]) -> list[Problem]:
    remedy = "reinstall the package"
    return [
        Problem(f"the embedded models {name} cannot be loaded: {fault}", remedy, fatal=True)
        for name, fault in embedded.items()
        if fault
    ]
