"""The models that settings name: the embedded ones, or those of a folder, and what finds faces with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dynface_video.config import load_settings
from dynface_video.errors import ModelError
from dynface_video.faces.detection.aligned import AlignedFaces
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.passes.networks import load_finders, load_models

CPU = torch.device("cpu")


def test_pictures_that_are_crops_need_no_network_to_find_faces() -> None:
    locator, detector = load_finders(load_settings("mini", None, {"aligned": True}), CPU)
    assert isinstance(locator, AlignedFaces) and isinstance(detector, AlignedFaces)


def test_a_model_folder_without_finders_gets_the_embedded_ones(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    settings = load_settings("mini", None, {}).model_copy(update={"models": str(tmp_path)})
    locator, _ = load_finders(settings, CPU)
    assert isinstance(locator, LandmarkLocator)


def test_unknown_models_are_named() -> None:
    settings = load_settings("mini", None, {"device": "cpu"}).model_copy(update={"models": "maxi"})
    with pytest.raises(ModelError, match="unknown models 'maxi'"):
        load_models(settings)
