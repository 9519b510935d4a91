"""The mean of two exported networks: between them by the share asked for, and only of one shape."""

from pathlib import Path

import pytest
import torch

from average_weights import averaged, main
from dynface_video import pretrained
from dynface_video.models.restoration import RestorationModel


def network(seed: int) -> RestorationModel:
    torch.manual_seed(seed)
    return RestorationModel(resolution=16, channels=(4, 8), blocks=(1, 1))


def test_a_share_lies_between_both_and_loads_as_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (0, 1):
        pretrained.save_pretrained(network(seed), tmp_path / str(seed))
    arguments = [str(tmp_path / "0"), str(tmp_path / "1"), "--share", "0.25", "--out", str(tmp_path / "mean")]
    monkeypatch.setattr("sys.argv", ["average_weights.py", *arguments])
    main()
    mean = pretrained.load_pretrained(RestorationModel, tmp_path / "mean").head.weight
    expected = torch.lerp(network(0).head.weight, network(1).head.weight, 0.25)
    torch.testing.assert_close(mean, expected, atol=2e-3, rtol=0)
    assert not torch.equal(mean, network(0).head.weight)


def test_networks_of_different_shapes_have_no_mean() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        averaged({"weight": torch.zeros(3)}, {"weight": torch.zeros(4)}, 0.5)
