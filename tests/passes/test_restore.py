"""Both passes with the embedded models: shots do not know of each other, and segments leave no trace."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.cli.demo_clip import DemoDamage, clean_frame, damaged_frame, photograph
from dynface_video.config import Settings, changed_settings, load_settings
from dynface_video.metrics.fidelity import psnr
from dynface_video.passes.networks import Models, load_models
from dynface_video.threads import network_threads
from evaluation.steadiness import restore_clip

LENGTH = 11


@pytest.fixture(scope="module")
def settings() -> Settings:
    quick = {"num_inference_steps": 2, "window_radius": 1, "temporal_radius": 1, "grain": 1.0}
    return changed_settings(load_settings("mini", None, {"device": "cpu"}), {"restoration": quick})


@pytest.fixture(scope="module")
def models(settings: Settings) -> Models:
    return load_models(settings)


@pytest.fixture(scope="module")
def shot() -> np.ndarray:
    picture = photograph()
    return np.stack(
        [damaged_frame(clean_frame(picture, k + 30), k, DemoDamage(), 0)[40:248, 70:278] for k in range(LENGTH)]
    )


def restored(frames: np.ndarray, models: Models, settings: Settings, segments: int = 1) -> np.ndarray:
    with network_threads(1):
        result = restore_clip(frames, models, settings, segments=segments)
    assert result.faces == len(frames)
    return result.frames


def test_two_shots_joined_give_what_each_gives_alone(shot: np.ndarray, models: Models, settings: Settings) -> None:
    other = (0.7 * shot[:, :, ::-1, ::-1]).astype(np.uint8)
    apart = np.concatenate([restored(shot, models, settings), restored(other, models, settings)])
    joined = restored(np.concatenate([shot, other]), models, settings)
    for alone, together in zip(apart, joined, strict=True):
        assert np.abs(alone.astype(int) - together).max() <= 1


@pytest.mark.parametrize("segments", [3, 7])
def test_a_shot_in_segments_is_the_same_shot(
    segments: int, shot: np.ndarray, models: Models, settings: Settings
) -> None:
    whole = restored(shot, models, settings)
    for a, b in zip(whole, restored(shot, models, settings, segments), strict=True):
        assert psnr(a / 255, b / 255) > 60
