"""Which networks the settings name, what is refused, and stages with networks of other projects at their true size."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynface_video.config import Settings, load_settings
from dynface_video.deferred import Deferred
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import InputError, ModelError
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.registry import model_folder
from dynface_video.models.restorer import ForeignRestorer
from dynface_video.models.unet_prior import UNetPrior
from dynface_video.pipeline import FacePipeline
from dynface_video.pretrained import CONFIG, WEIGHTS
from dynface_video.stage import Sampler, StageConfig
from dynface_video.stage_loading import INDEX, find_models, load_stages
from small_models import STAGE, make_small_models

spandrel = pytest.importorskip("spandrel", reason="the extra [models] is not installed")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_models(tmp_path_factory.mktemp("models"))


def settings(files: Path, models: str | None = "own", **restoration: Any) -> Settings:
    chosen = {"restorer": str(files / "restorer.pth")} | restoration
    given = load_settings("mini", None, {name: value for name, value in chosen.items() if value is not None})
    return given if models is None else given.model_copy(update={"models": str(files / models)})


def test_a_restorer_takes_the_place_of_the_rm_where_there_is_a_prior_for_it(files: Path) -> None:
    found = find_models(settings(files, prior=str(files / "prior")))
    assert [config.resolution for config in found.configs] == [512] and found.configs[0].prior == STAGE["prior"]
    assert (found.restorer, found.prior, found.names) == (files / "restorer.pth", files / "prior", ())


def test_a_restorer_works_alone_where_there_is_none(files: Path) -> None:
    found = find_models(settings(files, None))
    assert found.configs == (StageConfig(512, "", window_radius=0, temporal_radius=4),)
    with pytest.raises(InputError, match="the models mini have no prior of 512 pixels for a restorer"):
        find_models(settings(files, None, method="guided"))


def test_the_method_restorer_leaves_the_sampler_out(files: Path) -> None:
    assert find_models(settings(files, method="restorer")).configs[0].prior is None
    own = find_models(load_settings("mini", None, {"method": "restorer"}))
    assert len(own.configs) == 3 and not any(config.prior for config in own.configs)


def test_crops_are_those_of_the_template_for_restorers_and_for_aligned_pictures(files: Path) -> None:
    own = load_settings("mini", None, {})
    assert find_models(own).crop_scale > 1
    assert find_models(load_settings("mini", None, {"aligned": True})).crop_scale == 1
    assert find_models(settings(files, None)).crop_scale == 1


@pytest.mark.parametrize("scale", [0, 3, "1.1", None])
def test_an_unusable_scale_of_crops_is_an_error(scale: object, tmp_path: Path) -> None:
    shutil.copytree(model_folder("mini"), tmp_path / "set")
    index = json.loads((tmp_path / "set" / INDEX).read_text()) | {"crop_scale": scale}
    (tmp_path / "set" / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="crop_scale"):
        find_models(load_settings("mini", None, {}).model_copy(update={"models": str(tmp_path / "set")}))


def test_what_does_not_exist_is_named(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNFACE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"/nowhere/gfpgan\.pth: no such restorer"):
        find_models(settings(files, restorer="/nowhere/gfpgan.pth"))
    with pytest.raises(InputError, match=r"x\.ckpt: no such prior"):
        find_models(settings(files, prior="x.ckpt"))
    with pytest.raises(ModelError, match=r"gfpgan-1\.4.*models fetch gfpgan-1\.4"):
        find_models(settings(files, restorer="gfpgan-1.4"))
    with pytest.raises(ModelError, match=r"difface-prior.*models fetch difface-prior.*--accept-license"):
        find_models(settings(files))
    with pytest.raises(InputError, match="a prior needs a stage that samples"):
        find_models(settings(files, None, prior=str(files / "prior")))


def test_settings_that_do_not_go_together_are_refused(files: Path) -> None:
    with pytest.raises(InputError, match="fidelity is a weight of a restorer"):
        load_settings("mini", None, {"fidelity": 0.5})
    with pytest.raises(InputError, match="method restorer uses no prior"):
        load_settings("mini", None, {"method": "restorer", "prior": "x"})
    with pytest.raises(InputError, match="NAFNet has no fidelity weight"):
        FacePipeline.from_settings(settings(files, None, fidelity=0.5))


def test_other_weights_are_another_job(files: Path, tmp_path: Path) -> None:
    copy = tmp_path / "restorer.pth"
    copy.write_bytes((files / "restorer.pth").read_bytes())
    first = find_models(settings(files, None)).digest()
    same = find_models(settings(files, None, restorer=str(copy))).digest()
    copy.write_bytes(copy.read_bytes() + b"0")
    assert first == same != find_models(settings(files, None, restorer=str(copy))).digest()


def test_paths_do_not_depend_on_the_working_directory(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    assert load_settings("mini", None, {"restorer": "restorer.pth"}).restoration.restorer == str(files / "restorer.pth")
    (files / "mine.yaml").write_text("models: own\nrestoration: {restorer: restorer.pth, prior: prior}\n")
    monkeypatch.chdir(tmp_path)
    found = load_settings("mini", files / "mine.yaml")
    assert (found.models, found.restoration.prior) == (str(files / "own"), str(files / "prior"))
    assert found.restoration.restorer == str(files / "restorer.pth")
    named = load_settings("mini", None, {"restorer": "gfpgan-1.4"})
    assert named.restoration.restorer == "gfpgan-1.4"


@pytest.mark.parametrize("guidance", ["closed_form", "gradient"])
def test_a_stage_of_a_foreign_restorer_and_a_published_prior_samples(guidance: str, files: Path) -> None:
    chosen = settings(files, prior=str(files / "prior"))
    restoration = chosen.restoration.model_copy(update={"guidance": guidance, "guide_count": 3, "strength": 0.5})
    (stage,) = load_stages(find_models(chosen), restoration, torch.device("cpu"), torch.float32)
    assert isinstance(stage.restoration, ForeignRestorer) and stage.sampler is not None
    assert isinstance(stage.sampler.prior, UNetPrior) and stage.window_radius == 0
    crops = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    estimates = stage.regress(crops)
    level = stage.estimate_levels(estimates)[0].double().numpy()
    made = stage.sample(estimates.estimate, level, np.array([800]), [NoiseKey(0, 0)])
    assert made.faces.shape == (1, 3, 512, 512) and made.unet_evaluations == 2
    assert torch.isfinite(made.faces).all() and (made.faces - estimates.estimate).abs().max() > 0.01


def test_another_restorer_needs_another_pipeline(files: Path) -> None:
    pipeline = FacePipeline.from_settings(settings(files, None, device="cpu"))
    assert pipeline.with_settings(strength=0.2).stages[0].sampler is None
    with pytest.raises(InputError, match="needs another pipeline"):
        pipeline.with_settings(method="guided")


@pytest.fixture
def sampling(tmp_path: Path) -> Path:
    """The embedded models with the parts of the first stage alone."""
    folder = tmp_path / "sampling"
    folder.mkdir()
    for name in ("restoration", "blur_level", "prior"):
        shutil.copytree(model_folder("mini") / name, folder / name)
    shutil.copy(model_folder("mini") / "starting_steps.json", folder)
    stage = json.loads((model_folder("mini") / INDEX).read_text())["stages"][0]
    (folder / INDEX).write_text(json.dumps({"stages": [stage]}))
    return folder


def sampler_of(folder: Path) -> Sampler:
    chosen = load_settings("mini").model_copy(update={"models": str(folder)})
    sampler = load_stages(find_models(chosen), chosen.restoration, torch.device("cpu"), torch.float32)[0].sampler
    assert sampler is not None
    return sampler


def test_a_prior_of_the_set_is_loaded_when_it_is_needed(sampling: Path) -> None:
    sampler = sampler_of(sampling)
    assert isinstance(sampler.prior_source, Deferred) and not sampler.prior_source.loaded
    sampler.preload()
    assert isinstance(sampler.prior, GuidedPrior) and sampler.prior is sampler.prior and sampler.prior_source.loaded


def test_a_prior_that_two_stages_name_is_loaded_once(sampling: Path) -> None:
    stage = json.loads((sampling / INDEX).read_text())["stages"][0]
    (sampling / INDEX).write_text(json.dumps({"stages": [stage, stage | {"resolution": 256}]}))
    chosen = load_settings("mini").model_copy(update={"models": str(sampling)})
    stages = load_stages(find_models(chosen), chosen.restoration, torch.device("cpu"), torch.float32)
    first, second = (stage.sampler.prior_source for stage in stages if stage.sampler is not None)
    assert isinstance(first, Deferred) and first is second


def test_what_is_wrong_with_a_prior_is_said_before_it_is_needed(sampling: Path) -> None:
    weights, table = sampling / "prior" / WEIGHTS, sampling / "starting_steps.json"
    described = (sampling / "prior" / CONFIG).read_text()
    table.write_text(json.dumps(json.loads(table.read_text()) | {"resolution": 256}))
    with pytest.raises(ModelError, match="built for 256 px"):
        sampler_of(sampling)
    config = sampling / "prior" / CONFIG
    config.write_text(
        json.dumps({name: value for name, value in json.loads(described).items() if name != "resolution"})
    )
    with pytest.raises(ModelError, match=r"prior: not the configuration of a prior: .*'resolution'"):
        sampler_of(sampling)
    config.write_text(json.dumps(json.loads(described) | {"schedule": {"cosine": True}}))
    with pytest.raises(ModelError, match=r"prior: not the configuration of a prior: .*'cosine'"):
        sampler_of(sampling)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="prior: damaged"):
        sampler_of(sampling)
    weights.unlink()
    with pytest.raises(ModelError, match="missing from the model folder"):
        sampler_of(sampling)
