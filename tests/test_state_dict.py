"""Checkpoints of all kinds give the same tensors; what is not a checkpoint gives a clear error, and runs nothing."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dynface_video.errors import InputError, ModelError
from dynface_video.state_dict import read_state_dict

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
OTHER = {name: tensor + 7 for name, tensor in WEIGHTS.items()}


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        OrderedDict(WEIGHTS),
        {f"module.{name}": tensor for name, tensor in WEIGHTS.items()},
        {f"module._orig_mod.{name}": tensor for name, tensor in WEIGHTS.items()},
        {"state_dict": WEIGHTS, "step": 3, "name": "x"},
        {"params": OTHER, "params_ema": WEIGHTS},
        {"model": {"state_dict": OTHER, "ema": WEIGHTS}, "epoch": 1},
    ],
    ids=["plain", "ordered", "module", "compiled", "wrapped", "averaged", "nested"],
)
def test_wrappings_do_not_matter_and_averaged_weights_are_preferred(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    found = read_state_dict(tmp_path / "weights.pth")
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    assert read_state_dict(tmp_path / "weights.safetensors").keys() == WEIGHTS.keys()


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "extra": Malicious(tmp_path / "ran")}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match=r"weights\.pth: refused, because it is not a checkpoint of tensors alone"):
        read_state_dict(tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_damaged_files_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"<html>404</html>" * 9)
    with pytest.raises(ModelError, match=name):
        read_state_dict(tmp_path / name)
    torch.save(WEIGHTS, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-200])
    with pytest.raises(ModelError, match=r"cut\.pth: damaged"):
        read_state_dict(tmp_path / "cut.pth")


def test_no_file_and_no_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_state_dict(tmp_path / "nothing.pth")
    torch.save({"step": 1}, tmp_path / "empty.pth")
    with pytest.raises(ModelError, match="no weights"):
        read_state_dict(tmp_path / "empty.pth")
