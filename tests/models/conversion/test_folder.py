"""A converted folder is complete or absent, and says when it is no longer what was written."""

import json
from pathlib import Path

import pytest
import torch

from dynface_video.errors import InputError, ModelError
from dynface_video.models.conversion import folder as converted_folder
from dynface_video.models.conversion.folder import check_files, convert_prior, load_prior
from dynface_video.models.unet_prior import UNetPrior
from plain_unet import NEW_ORDER, TINY, plain_forward, random_state


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({f"module.{name}": tensor for name, tensor in random_state(TINY).items()}, tmp_path / "prior.pth")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.config()))
    return tmp_path / "prior.pth"


def test_the_folder_holds_the_network_and_its_digests(checkpoint: Path, tmp_path: Path) -> None:
    made = convert_prior(checkpoint, tmp_path / "prior", config=tmp_path / "tiny.json")
    assert made.tensors == len(random_state(TINY)) and made.files.keys() == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
    index = json.loads((tmp_path / "prior" / "model_index.json").read_text())
    assert index["source"]["file"] == "prior.pth" and index["files"] == dict(made.files)
    sample, timestep = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([400])
    wanted = plain_forward(TINY, random_state(TINY), sample.double(), timestep)
    assert (load_prior(tmp_path / "prior")(sample, timestep) - wanted).abs().max() < 1e-4
    assert not list(tmp_path.glob(".*"))


def test_the_new_order_of_attention_is_named_in_the_configuration(tmp_path: Path) -> None:
    torch.save(random_state(NEW_ORDER), tmp_path / "prior.pth")
    config = tmp_path / "new.json"
    config.write_text(json.dumps(NEW_ORDER.config() | {"use_new_attention_order": True}))
    convert_prior(tmp_path / "prior.pth", tmp_path / "prior", config=config)
    sample, timestep = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([400])
    wanted = plain_forward(NEW_ORDER, random_state(NEW_ORDER), sample.double(), timestep)
    assert (load_prior(tmp_path / "prior")(sample, timestep) - wanted).abs().max() < 1e-4


def test_a_wrong_checkpoint_leaves_nothing_behind(checkpoint: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ModelError, match="not a prior that is known here"):
        convert_prior(checkpoint, tmp_path / "prior")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.config() | {"blocks": (1, 2)}))
    with pytest.raises(ModelError, match=r"prior\.pth: the checkpoint is not this network: .* is missing"):
        convert_prior(checkpoint, tmp_path / "prior", config=tmp_path / "tiny.json")
    assert set(tmp_path.iterdir()) == before


def test_an_interrupted_conversion_leaves_nothing_behind(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        (Path(str(args[1])) / "half").parent.mkdir()
        raise OSError(28, "No space left on device")

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(UNetPrior, "save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        convert_prior(checkpoint, tmp_path / "prior", config=tmp_path / "tiny.json")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("text", ["[", '{"no_such_argument": 1}', '{"blocks": [1]}', "3"])
def test_a_configuration_that_is_none_is_an_input_error(text: str, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text(text)
    with pytest.raises(InputError, match=r"wrong\.json"):
        convert_prior(checkpoint, tmp_path / "prior", config=tmp_path / "wrong.json")


def test_existing_folders_are_replaced_only_on_request(checkpoint: Path, tmp_path: Path) -> None:
    target, config = tmp_path / "prior", tmp_path / "tiny.json"
    convert_prior(checkpoint, target, config=config)
    with pytest.raises(InputError, match="already exists"):
        convert_prior(checkpoint, target, config=config)
    convert_prior(checkpoint, target, config=config, overwrite=True)
    (tmp_path / "photographs").mkdir()
    with pytest.raises(InputError, match="was not written by this command"):
        convert_prior(checkpoint, tmp_path / "photographs", config=config, overwrite=True)


def test_a_changed_or_missing_file_is_noticed(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "prior"
    convert_prior(checkpoint, target, config=tmp_path / "tiny.json")
    check_files(target)
    weights = target / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="damaged or changed"):
        load_prior(target)
    weights.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_prior(target)
    (target / converted_folder.INDEX).write_text("{}")
    with pytest.raises(ModelError, match="not a converted model"):
        load_prior(target)
