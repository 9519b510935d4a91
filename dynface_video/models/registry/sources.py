"""Where a file of the catalogue can be fetched: a mirror first, then the places that the catalogue names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from dynface_video.errors import InputError
from dynface_video.models.registry.catalogue import ModelFile

MIRROR_VARIABLE = "DYNFACE_MODEL_MIRROR"
"""Environment variable: a folder, a `file://` URL or the beginning of an `https://` URL, tried before other sources."""
OFFLINE_VARIABLE = "HF_HUB_OFFLINE"
"""Environment variable of the Hugging Face Hub; here it forbids every source that needs a network."""
TRUE_WORDS = frozenset({"1", "on", "yes", "true"})


@dataclass(frozen=True)
class Source:
    """A place to fetch a file from.

    Attributes:
        name: As a person knows it; recorded.
        location: A local path, or a URL of http or https.
        headers: Sent with a request.
    """

    name: str
    location: Path | str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_network(self) -> bool:
        """Whether it is not a file of this machine."""
        return not isinstance(self.location, Path)


def sources_of(file: ModelFile, mirror: str | None = None) -> list[Source]:
    """The places to try, in this order.

    Args:
        file: Of the catalogue.
        mirror: Overrides the mirror of the environment.

    Raises:
        InputError: A source has an unknown scheme, or the mirror is a folder that does not exist.
    """
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    return [*(_in_mirror(file, mirror) if mirror else []), *(_source(place) for place in file.sources)]


def is_offline() -> bool:
    """Whether the environment forbids the use of a network."""
    return os.environ.get(OFFLINE_VARIABLE, "").strip().lower() in TRUE_WORDS


def _in_mirror(file: ModelFile, mirror: str) -> list[Source]:
    """A mirror holds NAME/FILENAME, as the cache does, or just FILENAME."""
    if urlsplit(mirror).scheme in ("http", "https"):
        base = mirror.rstrip("/")
        places = [f"{base}/{quote(file.name)}/{quote(file.filename)}", f"{base}/{quote(file.filename)}"]
        return [Source(place, place) for place in places]
    folder = _local(mirror) if mirror.startswith("file:") else Path(mirror).expanduser()
    if not folder.is_dir():
        raise InputError(f"the mirror {mirror} is not a folder; check --mirror or {MIRROR_VARIABLE}")
    found = [path for path in (folder / file.name / file.filename, folder / file.filename) if path.is_file()]
    return [Source(str(path), path) for path in found or [folder / file.name / file.filename]]


def _source(place: str) -> Source:
    scheme = urlsplit(place).scheme
    if scheme in ("http", "https"):
        return Source(place, place)
    if scheme == "file":
        return Source(place, _local(place))
    if scheme == "hf":
        return _on_hub(place)
    raise InputError(f"the source {place!r} is not a URL of https, http, file or hf")


def _local(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _on_hub(place: str) -> Source:
    # The hub's own library knows its address, which HF_ENDPOINT changes, and the user's token.
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    repository, _, path = place.removeprefix("hf://").partition("@")
    revision, _, filename = path.partition("/")
    if repository.count("/") != 1 or not revision or not filename:
        raise InputError(f"the source {place!r} is not of the form hf://OWNER/REPO@REVISION/PATH")
    return Source(place, hf_hub_url(repository, filename, revision=revision), build_hf_headers())
