"""Where networks come from: model sets in the package, and files of other projects that are fetched and verified.

`resolve` gives the local file of a catalogue name and never uses a network; `fetch` gets it.
"""

from __future__ import annotations

from dynface_video.models.registry.cache import FileState, home, local_path, state, verify
from dynface_video.models.registry.catalogue import ModelFile, catalogue, find, members
from dynface_video.models.registry.embedded import (
    DEFAULT,
    damage_folder,
    detection_folder,
    embedded_models,
    model_folder,
)
from dynface_video.models.registry.fetching import Fetched, fetch, remove, require_licences
from dynface_video.models.registry.licences import Licence, licence_of
from dynface_video.models.registry.resolving import resolve
from dynface_video.models.registry.usage import UsedModel, detector_file, used_files, used_models

__all__ = [
    "DEFAULT",
    "Fetched",
    "FileState",
    "Licence",
    "ModelFile",
    "UsedModel",
    "catalogue",
    "damage_folder",
    "detection_folder",
    "detector_file",
    "embedded_models",
    "fetch",
    "find",
    "home",
    "licence_of",
    "local_path",
    "members",
    "model_folder",
    "remove",
    "require_licences",
    "resolve",
    "state",
    "used_files",
    "used_models",
    "verify",
]
