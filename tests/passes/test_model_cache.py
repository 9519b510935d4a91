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
    assert (first.pipeline.settings.strength, second.pipeline.settings.strength) == (0.2, 0.9)
    assert first.pipeline.stages[0].networks()[0] is second.pipeline.stages[0].networks()[0]
    assert first.detector is not second.detector
    third = cache.get(load_settings("mini", None, {"device": "cpu", "strength": 0.9, "minimum_score": 0.7, "crf": 9}))
    assert third is second and loads == ["cpu"]


def test_another_device_has_its_own_networks(loads: list[str]) -> None:
    cache = ModelCache()
    first = cache.get(load_settings("mini", None, {"device": "cpu"}))
    # "auto" may be a GPU: it is not the same device as far as the settings say.
    second = cache.get(load_settings("mini", None, {"device": "auto"}))
    assert (
        loads == ["cpu", "auto"]
        and first.pipeline.stages[0].networks()[0] is not second.pipeline.stages[0].networks()[0]
    )
    assert cache.get(load_settings("mini", None, {"device": "cpu"})).pipeline is first.pipeline


def test_a_search_for_faces_follows_pictures_that_need_none(loads: list[str]) -> None:
    cache = ModelCache()
    aligned = cache.get(load_settings("mini", None, {"device": "cpu", "aligned": True}))
    searched = cache.get(load_settings("mini", None, {"device": "cpu"}))
    assert loads == ["cpu"] and searched.pipeline.stages is aligned.pipeline.stages
    assert aligned.pipeline.crop_scale == 1 < searched.pipeline.crop_scale
    assert type(aligned.locator) is type(aligned.detector) and type(searched.locator) is not type(aligned.locator)
