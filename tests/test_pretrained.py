"""Model folders: there and back, and what is wrong with a folder is named."""

import copy
import json
from pathlib import Path

import pytest
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from safetensors.torch import save_file

from dynface_video.errors import ModelError
from dynface_video.faces.landmark_network import LandmarkNetwork
from dynface_video.pretrained import (
    CONFIG,
    WEIGHTS,
    check_folder,
    layout_of,
    load_pretrained,
    load_state_dict,
    save_pretrained,
    to_device,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_pretrained(LandmarkNetwork(size=32, channels=(8, 16)), tmp_path)
    return tmp_path


def test_on_a_cpu_channels_lie_last_and_files_are_written_as_ever(folder: Path, tmp_path: Path) -> None:
    loaded = load_pretrained(LandmarkNetwork, folder)
    assert layout_of(loaded.stem[0][0]) == torch.channels_last  # type: ignore[arg-type,index]
    save_pretrained(loaded, tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()


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


def test_the_configuration_holds_all_arguments_and_cannot_be_changed() -> None:
    network = LandmarkNetwork(32, channels=(8, 16))
    assert dict(network.config) == {"size": 32, "context": 1.3, "channels": (8, 16), "hidden": 128, "heatmap": True}
    assert copy.deepcopy(network).config == network.config
    with pytest.raises(AttributeError, match="update_config"):
        network.config.size = 64
    with pytest.raises(AttributeError, match="no 'colour'"):
        _ = network.config.colour
    network.update_config(context=2.0)
    assert network.config.context == 2.0 and network.config.size == 32


def test_a_network_is_made_from_a_configuration_with_changes() -> None:
    network = LandmarkNetwork.from_config(LandmarkNetwork(32, channels=(8, 16)).config, heatmap=False)
    assert not hasattr(network, "maps") and network.config.size == 32
    with pytest.raises(TypeError, match="colour"):
        LandmarkNetwork.from_config({"colour": 1})


def test_a_folder_is_one_of_diffusers(folder: Path) -> None:
    class Foreign(ModelMixin, ConfigMixin):
        @register_to_config
        def __init__(self, size: int, context: float, channels: list[int], hidden: int, heatmap: bool) -> None:
            super().__init__()
            self.inner = LandmarkNetwork(size, context, channels, hidden, heatmap)
            for name, part in self.inner.named_children():
                self.add_module(name, part)
            del self.inner

    loaded, ours = load_pretrained(Foreign, folder), load_pretrained(LandmarkNetwork, folder)
    assert {name: value.tolist() for name, value in loaded.state_dict().items()} == {
        name: value.tolist() for name, value in ours.state_dict().items()
    }
    assert dict(ours.config) == {name: value for name, value in loaded.config.items() if name[0] != "_"}


def test_a_folder_is_checked_without_its_network(folder: Path) -> None:
    assert check_folder(folder).channels == [8, 16]
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-10])
    with pytest.raises(ModelError, match="damaged"):
        check_folder(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="missing"):
        check_folder(folder)


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return (Path.touch, (self.touched,))


def test_a_state_dict_is_read_with_and_without_the_prefix_of_parallel_training(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3).half()
    for prefix in ("", "module."):
        torch.save({prefix + name: tensor for name, tensor in layer.state_dict().items()}, tmp_path / "a.pth")
        loaded = load_state_dict(torch.nn.Linear(2, 3).train(), tmp_path / "a.pth")
        assert torch.equal(loaded.weight, layer.weight.float())
        assert not loaded.training and not loaded.weight.requires_grad


def test_a_state_dict_of_safetensors_is_read(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    save_file(layer.state_dict(), tmp_path / "a.safetensors")
    assert torch.equal(load_state_dict(torch.nn.Linear(2, 3), tmp_path / "a.safetensors").weight, layer.weight)


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    torch.save({"weight": Harmful(tmp_path / "touched")}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="refused, because it is not a checkpoint of tensors alone"):
        load_state_dict(torch.nn.Linear(2, 3), tmp_path / "a.pth")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"weight": torch.zeros(3, 2)}, "1 tensors do not fit, first 'bias'"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(4)}, "1 tensors do not fit, first 'bias'"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(3), "gain": torch.zeros(1)}, "first 'gain'"),
        ([torch.zeros(3)], "no weights in it"),
        ({"params": {"weight": torch.zeros(3, 2)}}, "1 tensors do not fit, first 'bias'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, saved: object, message: str) -> None:
    torch.save(saved, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=message):
        load_state_dict(torch.nn.Linear(2, 3), tmp_path / "a.pth")


def test_a_missing_or_cut_state_dict_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.pth: no such file"):
        load_state_dict(torch.nn.Linear(2, 3), tmp_path / "a.pth")
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "b.pth")
    (tmp_path / "b.pth").write_bytes((tmp_path / "b.pth").read_bytes()[:200])
    with pytest.raises(ModelError, match=r"b\.pth: damaged"):
        load_state_dict(torch.nn.Linear(2, 3), tmp_path / "b.pth")


def test_networks_of_other_projects_keep_their_layout_on_a_cpu() -> None:
    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(4, 4, 3)

    assert layout_of(to_device(Other(), "cpu").convolution) == torch.contiguous_format
