"""The catalogue: which public files of networks this package can use, where they are, and on what terms.

The files are in `catalogue.yaml`. A digest is declared where at least two independent public sources state the same
one. The others are recorded at the first download, which is said wherever the file is listed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from dynface_video.errors import InputError, ModelError

Kind = Literal["restorer", "prior", "detector", "parser", "identity"]
CATALOGUE = Path(__file__).with_suffix(".yaml")
CATALOGUE_VARIABLE = "DYNFACE_CATALOGUE"
"""Environment variable: a YAML file with further entries, or with other ones of the same names."""


@dataclass(frozen=True)
class ModelFile:
    """A file of the catalogue.

    Attributes:
        name: By which the commands and `resolve` know it.
        filename: Its name on disk, that of the publishing project.
        sources: Where it can be fetched, best first: `https://`, `http://`, `file://`, or on the Hugging Face Hub
            `hf://OWNER/REPO@REVISION/PATH`.
        licence: Identifier of its licence.
        kind: What the network is.
        purpose: What it is for, in a few words.
        size: In bytes; None if not known.
        sha256: Digest in lower-case hexadecimal; None if it is recorded at the first download.
        note: What else to know before it is used, such as the terms of the training data.
    """

    name: str
    filename: str
    sources: tuple[str, ...]
    licence: str
    kind: Kind
    purpose: str
    size: int | None = None
    sha256: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Check what becomes part of a path or decides about trust; raises InputError."""
        for part in (self.name, self.filename):
            if not part or part.startswith(".") or Path(part).name != part or "\\" in part:
                raise InputError(f"catalogue entry {self.name!r}: {part!r} is not a plain file name")
        if self.kind not in get_args(Kind):
            raise InputError(f"catalogue entry {self.name!r}: kind must be one of {', '.join(get_args(Kind))}")
        digest = self.sha256
        if digest is not None and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            raise InputError(f"catalogue entry {self.name!r}: sha256 must be 64 lower-case hexadecimal digits")


SETS: Mapping[str, tuple[str, ...]] = {
    "gfpgan": ("gfpgan-1.4",),
    "ffhq512": ("difface-prior", "difface-swinir"),
    "facexlib": ("retinaface-r50", "parsenet", "arcface"),
}
"""Names that stand for one or several files in the commands."""


def catalogue() -> dict[str, ModelFile]:
    """The files by name: the built-in ones, and those of the file that `DYNFACE_CATALOGUE` names.

    Raises:
        InputError: That file cannot be read, or an entry is invalid.
    """
    own = os.environ.get(CATALOGUE_VARIABLE)
    return {**built_in(), **(_read(Path(own)) if own else {})}


@cache
def built_in() -> Mapping[str, ModelFile]:
    """The files of `catalogue.yaml` by name."""
    return _read(CATALOGUE)


def find(name: str) -> ModelFile:
    """The file with a name; raises ModelError if the catalogue has none."""
    files = catalogue()
    if name not in files:
        raise ModelError(f"unknown model {name!r}; the catalogue has {', '.join(files)}")
    return files[name]


def members(name: str) -> tuple[ModelFile, ...]:
    """The files that a name or the name of a set stands for; raises ModelError as `find`."""
    return tuple(find(member) for member in SETS.get(name, (name,)))


def _read(path: Path) -> dict[str, ModelFile]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the catalogue cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(entries, dict):
        raise InputError(f"{path}: a catalogue holds entries as `name: {{filename: ..., sources: [...], ...}}`")
    return {name: _entry(path, str(name), values) for name, values in entries.items()}


def _entry(path: Path, name: str, values: Any) -> ModelFile:
    known = {field.name for field in fields(ModelFile)} - {"name"}
    if not isinstance(values, dict) or not isinstance(values.get("sources", []), list):
        raise InputError(f"{path}: entry {name!r} must be a mapping, with a list of sources")
    unknown = set(values) - known
    if unknown:
        raise InputError(f"{path}: entry {name!r} has the unknown keys {', '.join(sorted(unknown))}")
    try:
        return ModelFile(name=name, **values | {"sources": tuple(map(str, values.get("sources", [])))})
    except TypeError as error:
        raise InputError(f"{path}: entry {name!r} is incomplete: {error}") from error
