"""The files that are made from the declarations of the settings are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dynface_video.config import OPTIONS, Settings, load_preset, load_settings, preset_names
from dynface_video.config.reference import settings_table, settings_yaml
from render_reference import ROOT, rendered


@pytest.mark.parametrize("path", list(rendered()), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_committed_file_equals_what_is_rendered(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == rendered()[path], "run python scripts/render_reference.py"


def test_the_default_preset_names_every_setting() -> None:
    text = (ROOT / "configs" / "mini.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == Settings().model_dump(mode="json")


@pytest.mark.parametrize("name", preset_names())
def test_printed_settings_are_a_configuration_with_the_same_values(name: str, tmp_path: Path) -> None:
    settings = load_settings(name, None, {"grayscale": "off", "codec": "on", "fps": "24000/1001", "work": tmp_path})
    (tmp_path / "printed.yaml").write_text(settings_yaml(settings, "printed"), encoding="utf-8")
    assert load_settings("mini", tmp_path / "printed.yaml") == settings != load_preset(name)


def test_every_setting_is_described_with_its_range() -> None:
    assert "| `restoration.strength` | number at least 0 and at most 1 | `0.6` | 0 stays closest" in settings_table()
    for section, values in Settings():
        fields = type(values).model_fields if section != "models" else {}
        assert all(field.description for field in fields.values()), section
    assert all(option.default for option in OPTIONS.values())
