"""The folders of the embedded models."""

from __future__ import annotations

from pathlib import Path

from dynface_video.errors import ModelError

DEFAULT = "mini"
FOLDER = Path(__file__).parents[1]


def embedded_models() -> list[str]:
    """Names of the model sets that are part of the package."""
    return sorted(p.name for p in FOLDER.iterdir() if (p / "model_index.json").is_file())


def model_folder(name: str) -> Path:
    """The folder of an embedded model set, or the folder of that path; raises ModelError for an unknown name."""
    if (Path(name) / "model_index.json").is_file():
        return Path(name)
    folder = FOLDER / name
    if name not in embedded_models():
        raise ModelError(
            f"unknown models {name!r}: neither a folder with a model_index.json nor embedded ones "
            f"({', '.join(embedded_models())})"
        )
    return folder


def detection_folder(name: str) -> Path:
    """The folder with the networks that find faces: of that model set, or the default's if it has none of its own."""
    folder = model_folder(name)
    return folder if (folder / "landmarks").is_dir() else model_folder(DEFAULT)


def damage_folder(name: str) -> Path:
    """The folder of the network that finds film damage: of that model set, or the default's if it has none."""
    folder = model_folder(name) / "damage_detector"
    return folder if folder.is_dir() else model_folder(DEFAULT) / "damage_detector"
