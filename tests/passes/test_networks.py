"""The models that settings name: the embedded ones, or those of a folder, and what finds faces with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from facexlib.detection.retinaface import RetinaFace
from skimage.data import astronaut

from dynface_video.config import load_settings
from dynface_video.errors import ModelError
from dynface_video.faces.arcface import ArcFace, ArcFaceIdentifier
from dynface_video.faces.detection.aligned import AlignedFaces
from dynface_video.faces.detection.retinaface import RetinaFaceDetector
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.faces.parsing import ParseNetMasks
from dynface_video.models.registry import fetch, used_models
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import load_finders, load_models
from model_files import OwnMachine, put_in_place

CPU = torch.device("cpu")
YUNET = Path(os.environ.get("DYNFACE_DATA", Path(__file__).parents[3] / "shared" / "data")).joinpath(
    "detectors", "yunet_n_640_640.onnx"
)


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


def test_a_public_detector_comes_from_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = OwnMachine(tmp_path, monkeypatch)
    settings = load_settings("mini", None, {"detector": "retinaface-r50"})
    with pytest.raises(ModelError, match="get it with `dynface-video models fetch retinaface-r50`"):
        load_finders(settings, CPU)
    torch.save(RetinaFace(network_name="resnet50", device=CPU).state_dict(), tmp_path / "weights.pth")
    machine.publish("retinaface-r50", tmp_path / "weights.pth")
    fetch("retinaface-r50")
    _, detector = load_finders(settings, CPU)
    assert isinstance(detector, RetinaFaceDetector)
    assert detector.network.config.backbone == "resnet50"
    (used,) = used_models(settings)
    assert (used.name, used.licence, used.commercial_use) == ("retinaface-r50", "MIT", True)


@pytest.mark.parametrize(
    ("option", "name", "kind", "attribute"),
    [({"identity": "arcface"}, "arcface", ArcFace, "identifier"),
     ({"paste_mask": "person"}, "parsenet", ParseNetMasks, "parser")],
)  # fmt: skip
def test_a_public_network_is_loaded_from_its_verified_file(
    option: dict[str, str], name: str, kind: type, attribute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = OwnMachine(tmp_path, monkeypatch)
    settings, read = load_settings("mini", None, {"device": "cpu", **option}), list[Path]()
    with pytest.raises(ModelError, match=f"dynface-video models fetch {name}"):
        load_models(settings)
    loaded = object()
    monkeypatch.setattr(kind, "from_file", lambda path, device: read.append(path) or loaded)
    machine.declare(name)
    path = put_in_place(name)
    assert load_models(load_settings("mini", None, {"device": "cpu"})).parser is None
    assert read == []
    models = load_models(settings)
    assert read == [path]
    found = getattr(models, attribute)
    assert loaded in (found, getattr(found, "model", None))
    assert [model.name for model in used_models(settings)] == [name]


def test_the_cache_of_networks_follows_identity_and_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = OwnMachine(tmp_path, monkeypatch)
    for name in ("arcface", "parsenet"):
        machine.declare(name)
        put_in_place(name)
    parser, network = object(), object()
    monkeypatch.setattr(ParseNetMasks, "from_file", lambda path, device: parser)
    monkeypatch.setattr(ArcFace, "from_file", lambda path, device: network)
    cache, plain = ModelCache(), {"device": "cpu"}
    embedded = cache.get(load_settings("mini", None, plain))
    other = cache.get(load_settings("mini", None, plain | {"identity": "arcface", "paste_mask": "person"}))
    assert (embedded.parser, other.parser) == (None, parser)
    assert isinstance(other.identifier, ArcFaceIdentifier) and other.identifier.model is network
    assert cache.get(load_settings("mini", None, plain)).parser is None


@pytest.mark.skipif(not YUNET.is_file(), reason=f"{YUNET} is absent: set DYNFACE_DATA")
def test_yunet_finds_a_face_from_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = OwnMachine(tmp_path, monkeypatch)
    (tmp_path / "copy.onnx").write_bytes(YUNET.read_bytes())
    machine.publish("yunet", tmp_path / "copy.onnx")
    fetch("yunet")
    _, detector = load_finders(load_settings("mini", None, {"detector": "yunet"}), CPU)
    (face,) = detector.detect(astronaut())
    assert face.score > 0.8


def test_yunet_comes_from_the_settings_or_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OwnMachine(tmp_path, monkeypatch)
    settings = load_settings("mini", None, {"detector": "yunet"})
    with pytest.raises(ModelError, match="get it with `dynface-video models fetch yunet`"):
        load_finders(settings, CPU)
    own = settings.detection.model_copy(update={"yunet_model": tmp_path / "mine.onnx"})
    settings = settings.model_copy(update={"detection": own})
    assert used_models(settings) == ()
    with pytest.raises(ModelError, match=r"mine\.onnx: no such file"):
        load_finders(settings, CPU)
