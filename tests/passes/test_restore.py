"""Both passes with the embedded models: shots do not know of each other, and segments leave no trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynface_video.cli.demo_clip import DemoDamage, clean_frame, damaged_frame, photograph
from dynface_video.config import Settings, changed_settings, load_settings
from dynface_video.metrics.fidelity import psnr
from dynface_video.passes.networks import Models, load_models
from dynface_video.passes.restore import _kept_detail, _PlacedFace
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


def test_detail_above_a_crop_stays_where_it_is_signal_and_nowhere_under_damage() -> None:
    rng = np.random.default_rng(0)
    smooth = np.full((64, 64, 3), 0.5, np.float32)
    noisy = smooth + rng.normal(0, 0.03, (64, 64, 1)).astype(np.float32)

    def kept(scale: float, restored: np.ndarray, damage: np.ndarray | None = None) -> np.ndarray:
        analyzed: Any = None
        to_crop = np.array([[scale, 0, 0], [0, scale, 0]])
        face = _PlacedFace(analyzed, 0, 0, (0, 0, 128, 128), to_crop, noisy, np.ones((64, 64), np.float32), 0.8, damage)
        return np.broadcast_to(_kept_detail(face, restored), (64, 64))

    assert np.allclose(kept(0.5, noisy), 0.8) and kept(0.5, smooth).max() < 0.1
    # The frame has no detail above a crop that is finer.
    assert np.allclose(kept(1.5, smooth), 0.8)
    damage = np.zeros((64, 64), np.float32)
    damage[:, 20] = 1
    assert not kept(0.5, noisy, damage)[:, 20].any() and np.allclose(kept(0.5, noisy, damage)[:, 40], 0.8)
