"""Settings from a preset, a configuration file and single overrides, in this order; all errors are reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from dynface_video.config.declared import OPTIONS
from dynface_video.config.messages import alternatives, explain, together, unknown_option
from dynface_video.config.restoration import RestorationSettings
from dynface_video.config.sections import Settings
from dynface_video.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    return sorted(path.stem for path in _presets_folder().glob("*.yaml"))


def load_preset(name: str) -> Settings:
    """The settings of a preset; raises InputError for an unknown name."""
    return load_settings(name)


def load_settings(
    preset: str = "mini", config: Path | str | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a preset, changed by a configuration file, changed by single settings.

    Args:
        preset: Name of a preset of the package.
        config: YAML file with some of the sections and settings of a preset.
        overrides: Settings by the names in `OPTIONS`; None as a value means not given.

    Returns:
        The validated settings.

    Raises:
        InputError: A file cannot be read, or settings are invalid; the message lists every invalid setting.
    """
    problems = list[str]()
    values = _preset_values(preset, problems)
    if config is not None:
        values = _merged(values, _config_values(Path(config), problems))
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    given |= {
        name: _anchored(given[name], Path()) for name in ("restorer", "prior") if isinstance(given.get(name), str)
    }
    problems += [unknown_option(name) for name in given if name not in OPTIONS]
    changed = _merged(values, _by_section(given))
    before = explain(_errors(values))
    where = f"{config}: " if config is not None else f"preset {preset}: "
    problems += [where + problem for problem in before]
    problems += [problem for problem in explain(_errors(changed)) if problem not in before]
    if problems:
        raise InputError(together(problems))
    return Settings.model_validate(changed)


def changed_settings(settings: Settings, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with some changed, by section and name; raises InputError as `load_settings` does."""
    return _validated(_merged(settings.model_dump(), changes))


def changed_restoration(settings: RestorationSettings, changes: Mapping[str, Any]) -> RestorationSettings:
    """The settings with some of them changed; raises InputError as `load_settings` does."""
    return _validated({"restoration": settings.model_dump() | dict(changes)}).restoration


def _presets_folder() -> Path:
    # In the wheel the presets lie inside the package, in a checkout beside it.
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def _preset_values(preset: str, problems: list[str]) -> dict[str, Any]:
    names = preset_names()
    if preset in names:
        return _read_yaml(_presets_folder() / f"{preset}.yaml")
    problems.append(f"unknown preset {preset!r}; {alternatives(preset, names)}")
    return {}


def _config_values(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return _read_yaml(path)
    except InputError as error:
        problems.append(str(error))
        return {}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the configuration {path} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {path} is not YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"the configuration {path} must hold settings as `name: value`, like the presets do")
    # A section whose lines are all commented out reads as None: nothing given.
    values = {name: value for name, value in values.items() if value is not None}
    _anchor_models(values, path.parent)
    return values


def _anchor_models(values: dict[str, Any], folder: Path) -> None:
    """Make what a configuration file names by a path independent of the working directory."""
    detection, restoration = values.get("detection"), values.get("restoration")
    if isinstance(detection, dict) and isinstance(detection.get("yunet_model"), str):
        detection["yunet_model"] = str(folder / detection["yunet_model"])
    for holder, name in ((values, "models"), (restoration, "restorer"), (restoration, "prior")):
        if isinstance(holder, dict) and isinstance(holder.get(name), str):
            holder[name] = _anchored(holder[name], folder)


def _anchored(given: str, folder: Path) -> str:
    """A file or folder by its absolute path, which workers need too; anything else is a name."""
    path = folder / given
    return str(path.absolute()) if path.is_file() or (path / "model_index.json").is_file() else given


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the sections and settings of `change` laid over it."""
    merged = dict(base)
    for name, value in change.items():
        before = merged.get(name)
        merged[name] = before | dict(value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return merged


def _by_section(overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in overrides.items():
        if name in OPTIONS:
            sections.setdefault(OPTIONS[name].section, {})[name] = value
    return sections


def _errors(values: Mapping[str, Any]) -> list[ErrorDetails]:
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        return error.errors()
    return []


def _validated(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InputError(together(explain(error.errors()))) from error
