"""Settings: validated where they come in, frozen from then on; presets are YAML files in `configs/`.

A preset names everything, a file given with `--config` changes some of it, and single options change that again.
"""

from __future__ import annotations

from dynface_video.config.declared import OPTIONS
from dynface_video.config.loading import (
    changed_restoration,
    changed_settings,
    load_preset,
    load_settings,
    preset_names,
)
from dynface_video.config.overrides import Overrides, PipelineOverrides, RestorationChanges
from dynface_video.config.restoration import RestorationSettings
from dynface_video.config.sections import (
    DetectionSettings,
    ExecutionSettings,
    InputSettings,
    OutputSettings,
    SelectionSettings,
    Settings,
)

__all__ = [
    "OPTIONS",
    "DetectionSettings",
    "ExecutionSettings",
    "InputSettings",
    "OutputSettings",
    "Overrides",
    "PipelineOverrides",
    "RestorationChanges",
    "RestorationSettings",
    "SelectionSettings",
    "Settings",
    "changed_restoration",
    "changed_settings",
    "load_preset",
    "load_settings",
    "preset_names",
]
