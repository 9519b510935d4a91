from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dynface_video.config import Settings, load_preset, load_settings
from dynface_video.errors import InputError


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ({"workers": 2, "device": "cuda:1"}, "or 1 worker on cuda:1"),
    ],
)
def test_settings_that_exclude_each_other_say_what_to_do(overrides: dict[str, Any], advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        load_settings("mini", None, overrides)


def test_settings_do_not_change_once_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().restoration.strength = 1.0  # type: ignore[misc]


def test_settings_survive_json() -> None:
    settings = load_preset("archive")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
