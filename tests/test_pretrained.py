"""Model folders: there and back, and what is wrong with a folder is named."""

import json
from pathlib import Path

import pytest
import torch

from dynface_video.errors import ModelError
from dynface_video.faces.landmark_network import LandmarkNetwork
from dynface_video.pretrained import CONFIG, WEIGHTS, load_pretrained, save_pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_pretrained(LandmarkNetwork(size=32, channels=(8, 16)), tmp_path)
    return tmp_path


def test_a_saved_network_is_read_back_as_float32_and_frozen(folder: Path) -> None:
    torch.manual_seed(0)
    written = LandmarkNetwork(size=32, channels=(8, 16))
    loaded = load_pretrained(LandmarkNetwork, folder)
    assert loaded.config.size == 32 and tuple(loaded.config.channels) == (8, 16)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    for name, value in written.state_dict().items():
        read = loaded.state_dict()[name]
        assert read.dtype == value.dtype
        assert torch.equal(read, value.half().float() if value.is_floating_point() else value)


def test_saving_keeps_the_model_and_lets_others_read_the_file(folder: Path) -> None:
    network = LandmarkNetwork(size=32, channels=(8, 16))
    save_pretrained(network, folder)
    assert next(network.parameters()).dtype == torch.float32
    assert (folder / WEIGHTS).stat().st_mode & 0o044 == 0o044


def test_the_configuration_does_not_say_where_the_model_was_loaded_from(folder: Path) -> None:
    loaded = load_pretrained(LandmarkNetwork, folder)
    save_pretrained(loaded, folder / "again")
    assert (folder / "again" / CONFIG).read_text() == (folder / CONFIG).read_text()
    assert str(folder) not in (folder / "again" / CONFIG).read_text()


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_pretrained(LandmarkNetwork, folder)


def test_damaged_weights_are_an_error(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:200])
    with pytest.raises(ModelError, match="damaged"):
        load_pretrained(LandmarkNetwork, folder)


@pytest.mark.parametrize("change", [{"hidden": 64}, {"heatmap": False}, {"channels": [8, 16, 16]}])
def test_weights_of_another_configuration_are_an_error(folder: Path, change: dict[str, object]) -> None:
    config = json.loads((folder / CONFIG).read_text()) | change
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ModelError, match="fit config"):
        load_pretrained(LandmarkNetwork, folder)
