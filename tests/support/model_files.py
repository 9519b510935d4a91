"""Small stand-ins for the files of the catalogue."""

from __future__ import annotations

from pathlib import Path

from dynface_video.models.registry.cache import local_path
from dynface_video.models.registry.catalogue import find

CONTENT = bytes(range(256)) * 40


def put_in_place(name: str, content: bytes = CONTENT) -> Path:
    """Write a file of the catalogue to its place in the cache, as a user would by hand."""
    path = local_path(find(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
