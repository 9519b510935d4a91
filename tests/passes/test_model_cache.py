"""Networks are loaded once for each set of models and device, whatever the settings of the videos."""

from __future__ import annotations

import pytest

from dynface_video.config import Settings, load_settings
from dynface_video.passes import model_cache
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    real, made = model_cache.load_models, list[str]()

    def load_models(settings: Settings) -> Models:
        made.append(settings.execution.device)
        return real(settings)

    monkeypatch.setattr(model_cache, "load_models", load_models)
    return made


def test_videos_with_other_settings_share_the_weights(loads: list[str]) -> None:
    cache = ModelCache()
    first = cache.get(load_settings("mini", None, {"device": "cpu", "strength": 0.2}))
    second = cache.get(load_settings("mini", None, {"device": "cpu", "strength": 0.9, "minimum_score": 0.7}))
    assert loads == ["cpu"]
    assert (first.restorer.settings.strength, second.restorer.settings.strength) == (0.2, 0.9)
    assert first.restorer.prior is second.restorer.prior and first.locator is second.locator
    assert first.detector is not second.detector
    third = cache.get(load_settings("mini", None, {"device": "cpu", "strength": 0.9, "minimum_score": 0.7, "crf": 9}))
    assert third is second and loads == ["cpu"]


def test_another_device_has_its_own_networks(loads: list[str]) -> None:
    cache = ModelCache()
    first = cache.get(load_settings("mini", None, {"device": "cpu"}))
    # "auto" may be a GPU: it is not the same device as far as the settings say.
    second = cache.get(load_settings("mini", None, {"device": "auto"}))
    assert loads == ["cpu", "auto"] and first.restorer.prior is not second.restorer.prior
    assert cache.get(load_settings("mini", None, {"device": "cpu"})).restorer is first.restorer
