from __future__ import annotations

from typing import get_type_hints

from dynface_video.config import OPTIONS, Overrides, RestorationChanges, RestorationSettings


def test_the_typed_overrides_are_the_declared_options() -> None:
    declared = {name: option.field.annotation for name, option in OPTIONS.items()}
    assert get_type_hints(Overrides) == declared
    assert Overrides.__required_keys__ == frozenset()


def test_the_typed_changes_are_the_settings_of_the_section() -> None:
    declared = {name: field.annotation for name, field in RestorationSettings.model_fields.items()}
    assert get_type_hints(RestorationChanges) == declared
    assert RestorationChanges.__required_keys__ == frozenset()
