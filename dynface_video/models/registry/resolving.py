"""From the name of a file to its place on this machine, without a network."""

from __future__ import annotations

from pathlib import Path

from dynface_video.errors import ModelError
from dynface_video.models.registry.cache import FileState, home, how_to_get, local_path, state, verify
from dynface_video.models.registry.catalogue import find
from dynface_video.models.registry.licences import is_accepted, licence_of


def resolve(name: str) -> Path:
    """The verified local file of a name in the catalogue.

    A file that has not changed since it was verified is not read again.

    Args:
        name: As in the catalogue, for instance "gfpgan-1.4".

    Raises:
        ModelError: The name is unknown, the file is missing or damaged, or its licence forbids commercial use and was
            not accepted; the message has the command that helps.
    """
    file, licence = find(name), licence_of(find(name).licence)
    found = state(file)
    if found is FileState.MISSING:
        raise ModelError(f"{file.name} ({file.purpose}) is not on this machine; {how_to_get(file)}")
    if not is_accepted(licence, home()):
        raise ModelError(
            f"{file.name}: its licence has not been accepted on this machine: {licence.summary()}; "
            f"accept it with `dynface-video models fetch {file.name} --accept-license`"
        )
    if found is not FileState.VERIFIED:
        verify(file)
    return local_path(file)
