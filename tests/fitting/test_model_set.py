"""A fitted model set: complete or absent, and used through its own settings wherever it lies."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dynface_video.config import load_settings
from dynface_video.errors import InputError, JobError
from dynface_video.fitting import model_set
from dynface_video.fitting.model_set import FitOptions, fit_model_set, whole_regression
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.pipeline import FacePipeline
from dynface_video.pretrained import load_pretrained
from dynface_video.stage_loading import INDEX, find_models

pytest.importorskip("spandrel", reason="the extra [models] is not installed")
OPTIONS = FitOptions(rounds=1, epochs=1)


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """Crops of 512 pixels and a small restorer."""
    from spandrel.architectures.NAFNet import NAFNet

    (tmp_path / "crops").mkdir()
    for number in range(16):
        cv2.imwrite(str(tmp_path / "crops" / f"{number}.jpg"), np.full((512, 512, 3), number * 9, np.uint8))
    network = NAFNet(width=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    torch.save(network.state_dict(), tmp_path / "restorer.pth")
    return tmp_path


def test_the_set_holds_its_own_se_and_the_settings_that_use_it(material: Path) -> None:
    settings = load_settings("ffhq512", None, {"restorer": str(material / "restorer.pth"), "device": "cpu"})
    report = fit_model_set(settings, material / "crops", material / "fitted", OPTIONS)
    assert report["pairs"] == 16 and report["held_out"] == 2
    se = load_pretrained(BlurLevelEstimator, material / "fitted" / "blur_level")
    assert se.config.resolution == 512
    (material / "fitted").rename(material / "moved")
    (material / "prior").mkdir()
    (material / "prior" / INDEX).write_text("{}")
    found = load_settings("ffhq512", material / "moved" / "settings.yaml", {"prior": str(material / "prior")})
    files = find_models(found)
    assert files.folder == material / "moved" and files.restorer == material / "restorer.pth"
    assert files.configs[0].blur_estimator == "blur_level" and found.restoration.guide_count == 3


def test_a_set_of_one_s_own_is_extended_and_one_without_such_a_prior_is_not(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(model_set.model_folder("ffhq512"), own)
    settings = load_settings("ffhq512", None, {"device": "cpu"})
    assert model_set._base(settings.model_copy(update={"models": str(own)})) == own
    assert model_set._base(load_settings("mini")) == model_set.model_folder("ffhq512")


def test_nothing_is_left_behind_where_it_fails(material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise JobError("out of memory")

    settings = load_settings("ffhq512", None, {"restorer": str(material / "restorer.pth"), "device": "cpu"})
    before = set(material.iterdir())
    monkeypatch.setattr(model_set, "fit_blur_level", fail)
    with pytest.raises(JobError):
        fit_model_set(settings, material / "crops", material / "fitted", OPTIONS)
    assert set(material.iterdir()) == before
    with pytest.raises(InputError, match="was not written by this command"):
        fit_model_set(settings, material / "crops", material / "crops", FitOptions(overwrite=True))
    with pytest.raises(InputError, match="already exists"):
        fit_model_set(settings, material / "crops", material / "crops", OPTIONS)


def test_our_own_rms_go_from_the_coarsest_stage_to_the_finest() -> None:
    pipeline = FacePipeline.from_settings(load_settings("mini", None, {"device": "cpu", "method": "restorer"}))
    small = pipeline.stages[:2]
    crop = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        made = whole_regression(FacePipeline(small, pipeline.settings, pipeline.device))(crop)
    assert made.estimate.shape == made.evidence.shape == (1, 3, 256, 256)


def test_the_embedded_set_of_512_pixels_fits_together() -> None:
    folder = model_set.model_folder("ffhq512")
    se = load_pretrained(BlurLevelEstimator, folder / "blur_level")
    table = json.loads((folder / "starting_steps.json").read_text())
    assert se.config.resolution == table["resolution"] == 512
    steps = dict(zip(np.round(np.array(table["blur_levels"]) * 512, 3), table["steps"], strict=True))
    # The paper starts between 690 and 925: levels from 2.3 to 13 pixels.
    assert steps[2.0] < 690 < steps[3.0] and steps[12.0] < 925 < steps[15.0]
