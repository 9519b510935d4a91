"""Which files of the catalogue a restoration with some settings uses, for its plan, its result and its messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dynface_video.config import Settings
from dynface_video.models.registry.cache import model_digest, read_record
from dynface_video.models.registry.catalogue import find
from dynface_video.models.registry.licences import licence_of
from dynface_video.models.registry.resolving import resolve

DETECTORS = {"retinaface-r50": "retinaface-r50", "yunet": "yunet"}
"""Detectors of the settings and their files."""


@dataclass(frozen=True)
class UsedModel:
    """A public network that took part in a restoration.

    Attributes:
        name: In the catalogue.
        sha256: Digest of its file.
        licence: Identifier.
        commercial_use: Whether the licence permits it.
    """

    name: str
    sha256: str
    licence: str
    commercial_use: bool


def detector_file(settings: Settings) -> str | None:
    """The name of the detector's file; None for the embedded one, and for a file that the user names."""
    detection = settings.detection
    if detection.aligned or (detection.detector == "yunet" and detection.yunet_model is not None):
        return None
    return DETECTORS.get(detection.detector)


def used_files(settings: Settings) -> tuple[str, ...]:
    """The names of the files that finding, telling apart and pasting faces need."""
    names = [
        detector_file(settings),
        "arcface" if settings.detection.identity == "arcface" else None,
        "parsenet" if settings.restoration.paste_mask == "person" else None,
    ]
    return tuple(name for name in names if name is not None)


def used_models(settings: Settings, networks: Iterable[str] = ()) -> tuple[UsedModel, ...]:
    """The files that a restoration needs, each verified.

    Args:
        settings: All of them.
        networks: Names of the files of the stages (`stage_loading.find_models`).

    Raises:
        ModelError: As `resolve`: one is missing or damaged, or its licence was not accepted.
    """
    used = []
    for name in dict.fromkeys((*used_files(settings), *networks)):
        path, file = resolve(name), find(name)
        record, licence = read_record(file), licence_of(file.licence)
        digest = record.sha256 if record else model_digest(path)
        used.append(UsedModel(name, digest, licence.id, licence.commercial_use))
    return tuple(used)
