from __future__ import annotations

from dynface_video.config import load_preset
from evaluation.steadiness import ALL, ALONE, PARTS, RM, settings_of


def test_every_method_turns_on_its_own_parts_only() -> None:
    preset = load_preset("mini")
    assert settings_of(ALL, preset) == preset
    off = settings_of(ALONE, preset)
    assert off.detection.landmark_smoothing == off.restoration.level_smoothing == off.restoration.step_hysteresis == 0
    assert off.restoration.window_radius == off.restoration.temporal_radius == off.restoration.noise_correlation == 0
    for part, changes in PARTS.items():
        alone = settings_of(part, preset)
        for section, names in changes.items():
            for name in names:
                kept = getattr(getattr(preset, section), name)
                assert getattr(getattr(alone, section), name) == kept != getattr(getattr(off, section), name)
    single, windows = (settings_of(method, preset).restoration for method in RM)
    assert single.strength == windows.strength == 0 and single.window_radius == 0 != windows.window_radius
