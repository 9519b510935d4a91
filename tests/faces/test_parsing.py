from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from facexlib.parsing.parsenet import ParseNet
from torch import Tensor, nn

from dynface_video.errors import ModelError
from dynface_video.faces.parsing import OUTSIDE, PARTS, SIDE, SOFTNESS, ParseNetMasks


class Planted(nn.Module):
    """Takes the brightness of a pixel, in 19 steps, for its part."""

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        assert pictures.shape[1] == 3 and pictures.min() >= -1 and pictures.max() <= 1
        parts = ((pictures.mean(dim=1) + 1) / 2 * (len(PARTS) - 1)).round().long()
        return 40.0 * nn.functional.one_hot(parts, len(PARTS)).permute(0, 3, 1, 2).float(), pictures


def painted(parts: list[str], size: int) -> np.ndarray:
    """A crop with vertical stripes of parts."""
    values = np.array([PARTS.index(name) for name in parts], np.float32) / (len(PARTS) - 1)
    stripes = np.repeat(values, size // len(parts))
    return np.broadcast_to(stripes[None, :, None], (size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_what_belongs_to_the_person_is_shown_and_what_covers_it_is_not(size: int) -> None:
    parts = ["hat", "background", "hair", "cloth", "glasses", "background", "neck", "skin"]
    (mask,) = ParseNetMasks(Planted()).masks([painted(parts, size)])
    assert mask.shape == (size, size) and mask.dtype == np.float32
    assert mask.min() >= 0 and mask.max() <= 1
    stripe = size // len(parts)
    for number, name in enumerate(parts):
        middle = mask[:, number * stripe + stripe // 2]
        assert (middle < 0.02).all() if name in OUTSIDE else (middle > 0.98).all(), name


def test_edges_are_soft_by_a_share_of_the_crop() -> None:
    for size in (128, 512):
        (mask,) = ParseNetMasks(Planted(), side=256).masks([painted(["skin", "background"], size)])
        edge = mask[size // 2]
        width = np.count_nonzero((edge > 0.16) & (edge < 0.84)) / size
        assert width == pytest.approx(2 * SOFTNESS, abs=0.012)


def test_each_crop_has_the_mask_that_it_has_alone() -> None:
    crops = [painted(["skin", "cloth"], 128), painted(["background", "hair"], 256)]
    parser = ParseNetMasks(Planted(), side=128)
    together = parser.masks(crops)
    for crop, mask in zip(crops, together, strict=True):
        assert np.array_equal(mask, parser.masks([crop])[0])
    assert parser.masks([]) == []


def test_facexlibs_weights_are_read_and_used_as_facexlib_uses_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ParseNet(in_size=SIDE, out_size=SIDE, parsing_ch=len(PARTS)).eval()
    torch.save(network.state_dict(), tmp_path / "parsing_parsenet.pth")
    crop = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    parser = replace(ParseNetMasks.from_file(tmp_path / "parsing_parsenet.pth"), side=64)
    (mask,) = parser.masks([crop])
    with torch.inference_mode():
        logits = network(torch.from_numpy((crop - 0.5) / 0.5).permute(2, 0, 1)[None])[0][0]
    shown = 1 - logits.softmax(dim=0)[[0, 18]].sum(dim=0).numpy()
    assert mask.mean() == pytest.approx(shown.mean(), abs=2e-3)
    assert mask.std() < shown.std()


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth: not the weights of ParseNet"):
        ParseNetMasks.from_file(tmp_path / "other.pth")
